//! The list of routers, and all that is written from it.

/// Writes everything that loops over the routers from one visible list: the modules, the run-time
/// enum [`AnyRouter`](crate::AnyRouter), its configuration [`RouterConfig`](crate::RouterConfig)
/// (tagged by name), and the names.
macro_rules! routers {
    ($($name:literal => $module:ident::$variant:ident($router:ident, $config:ident),)+) => {
        $(
            mod $module;
            pub use $module::{$config, $router};
        )+

        /// Any router of the list, chosen at run time.
        #[derive(burn::module::Module, Debug)]
        pub enum AnyRouter {
            $(
                #[doc = concat!("The router named `", $name, "`.")]
                $variant($router),
            )+
            /// The router of another crate.
            Outside($crate::OutsideRouter),
        }

        impl $crate::Router for AnyRouter {
            fn route(&self, input: $crate::RouterInput) -> $crate::Routing {
                match self {
                    $(Self::$variant(router) => router.route(input),)+
                    Self::Outside(router) => router.route(input),
                }
            }

            fn causality(&self) -> $crate::Causality {
                match self {
                    $(Self::$variant(router) => router.causality(),)+
                    Self::Outside(router) => router.causality(),
                }
            }

            fn competes(&self) -> bool {
                match self {
                    $(Self::$variant(router) => router.competes(),)+
                    Self::Outside(router) => router.competes(),
                }
            }

            fn advance(self, load: &$crate::Load) -> Self {
                match self {
                    $(Self::$variant(router) => Self::$variant(router.advance(load)),)+
                    Self::Outside(router) => Self::Outside(router.advance(load)),
                }
            }
        }

        /// The configuration of any router: its name and its values.
        #[derive(serde::Serialize, Debug, Clone, PartialEq)]
        #[serde(tag = "name")]
        pub enum RouterConfig {
            $(
                #[doc = concat!("The router named `", $name, "`.")]
                #[serde(rename = $name)]
                $variant($config),
            )+
            /// The router of another crate, by the name that its registry gave.
            #[serde(untagged)]
            Outside($crate::OutsideConfig),
        }

        $(
            impl From<$config> for RouterConfig {
                fn from(config: $config) -> Self {
                    Self::$variant(config)
                }
            }
        )+

        impl From<$crate::OutsideConfig> for RouterConfig {
            fn from(config: $crate::OutsideConfig) -> Self {
                Self::Outside(config)
            }
        }

        impl<'de> serde::Deserialize<'de> for RouterConfig {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                let mut values = serde_json::Map::deserialize(deserializer)?;
                let name = match values.remove("name") {
                    Some(serde_json::Value::String(name)) => name,
                    Some(_) => return Err(D::Error::custom("`name` is no text")),
                    None => return Err(D::Error::missing_field("name")),
                };
                Self::from_values(&name, values).map_err(D::Error::custom)
            }
        }

        impl RouterConfig {
            /// The names of the list, in its order.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The names of the list, and those that other crates gave.
            pub fn names() -> Vec<&'static str> {
                let outside = $crate::outside::registered_names();
                Self::NAMES.iter().copied().chain(outside).collect()
            }

            /// The configuration of a named router from its values; those that are left out have their
            /// defaults.
            fn from_values(
                name: &str,
                values: serde_json::Map<String, serde_json::Value>,
            ) -> Result<Self, serde_json::Error> {
                use serde::de::Error;
                match name {
                    $($name => {
                        serde_json::from_value(serde_json::Value::Object(values)).map(Self::$variant)
                    })+
                    _ => match $crate::outside::registered(name) {
                        Some(entry) => entry.config(values).map(Self::Outside),
                        None => Err(serde_json::Error::unknown_variant(name, Self::NAMES)),
                    },
                }
            }

            /// The default configuration of a named router, if there is one of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant($config::default())),)+
                    _ => {
                        let entry = $crate::outside::registered(name)?;
                        entry.config(Default::default()).ok().map(Self::Outside)
                    }
                }
            }

            /// The router's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                    Self::Outside(config) => config.name(),
                }
            }

            /// The keys of its configuration, as its source documents them.
            pub fn keys(&self) -> Vec<$crate::RouterKey> {
                match self {
                    $(Self::$variant(_) => $crate::keys::keys(
                        include_str!(concat!(stringify!($module), ".rs")),
                        stringify!($config),
                    ),)+
                    Self::Outside(config) => config.keys(),
                }
            }

            /// Properties of the router in this configuration.
            pub fn info(&self) -> $crate::RouterInfo {
                match self {
                    $(Self::$variant(config) => $crate::RouterInfo {
                        causality: $crate::Preset::causality(config),
                        family: $crate::Preset::family(config),
                        ..<$config as $crate::Preset>::INFO
                    },)+
                    Self::Outside(config) => config.info(),
                }
            }

            /// Checks the values against the number of experts of a layer.
            ///
            /// # Errors
            ///
            /// Returns what is wrong, where, and what to do.
            pub fn validate(&self, n_experts: usize) -> Result<(), $crate::RouterError> {
                match self {
                    $(Self::$variant(config) => $crate::Preset::validate(config, n_experts),)+
                    Self::Outside(config) => config.validate(n_experts),
                }
            }

            /// Extras that the routings of a training step carry for balance losses.
            pub fn extras(&self) -> Vec<$crate::Extra> {
                match self {
                    $(Self::$variant(config) => $crate::Preset::extras(config),)+
                    Self::Outside(config) => config.extras(),
                }
            }

            /// The balance losses that the router's source trains it with.
            pub fn balance(&self) -> $crate::BalanceConfig {
                match self {
                    $(Self::$variant(config) => $crate::Preset::balance(config),)+
                    Self::Outside(config) => config.balance(),
                }
            }

            /// The capacity factor of evaluation; none of a router without a capacity, or with a fixed one.
            pub fn capacity_factor(&self) -> Option<f64> {
                match self {
                    $(Self::$variant(config) => $crate::Preset::capacity_factor(config),)+
                    Self::Outside(config) => config.capacity_factor(),
                }
            }

            /// Sets the capacity factor of evaluation, where there is one.
            pub fn with_capacity_factor(self, factor: f64) -> Self {
                match self {
                    $(Self::$variant(config) => {
                        Self::$variant($crate::Preset::with_capacity_factor(config, factor))
                    })+
                    Self::Outside(config) => Self::Outside(config.with_capacity_factor(factor)),
                }
            }

            /// The rule in numbers for groups of so many tokens; none of a router that is no plain token choice,
            /// and of another crate's.
            pub fn token_choice(
                &self,
                n_experts: usize,
                group_size: usize,
            ) -> Option<$crate::TokenChoice> {
                match self {
                    $(Self::$variant(config) => {
                        $crate::Preset::token_choice(config, n_experts, group_size)
                    })+
                    Self::Outside(_) => None,
                }
            }

            /// Experts that compute an average token.
            pub fn experts_per_token(&self, n_experts: usize) -> f64 {
                match self {
                    $(Self::$variant(config) => {
                        $crate::Preset::experts_per_token(config, n_experts)
                    })+
                    Self::Outside(config) => config.experts_per_token(n_experts),
                }
            }

            /// Rows that the experts compute for an average token of a sequence.
            pub fn rows_per_token(&self, n_experts: usize, seq_length: usize) -> f64 {
                match self {
                    $(Self::$variant(config) => {
                        $crate::Preset::rows_per_token(config, n_experts, seq_length)
                    })+
                    Self::Outside(config) => config.rows_per_token(n_experts, seq_length),
                }
            }

            /// The router's own parameters in a layer, trained or not.
            pub fn n_params(&self, shape: &$crate::RouterShape) -> usize {
                match self {
                    $(Self::$variant(config) => $crate::Preset::n_params(config, shape),)+
                    Self::Outside(config) => config.n_params(shape),
                }
            }

            /// Builds the router.
            pub fn init(
                &self,
                shape: &$crate::RouterShape,
                device: &burn::tensor::Device,
            ) -> AnyRouter {
                match self {
                    $(Self::$variant(config) => {
                        AnyRouter::$variant($crate::Preset::init(config, shape, device))
                    })+
                    Self::Outside(config) => AnyRouter::Outside(config.init(shape, device)),
                }
            }
        }
    };
}
