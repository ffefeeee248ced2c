//! The list of routers, and all that is written from it.

/// Writes everything that loops over the routers from one visible list: the modules, the run-time
/// enum [`AnyRouter`](crate::AnyRouter), its configuration [`RouterConfig`](crate::RouterConfig)
/// (tagged by name), and the names.
macro_rules! routers {
    ($($name:literal => $module:ident::{$router:ident, $config:ident},)+) => {
        $(
            mod $module;
            pub use $module::{$config, $router};
        )+

        /// Any router of the list, chosen at run time.
        #[derive(burn::module::Module, Debug)]
        pub enum AnyRouter {
            $(
                #[doc = concat!("The router named `", $name, "`.")]
                $router($router),
            )+
        }

        impl $crate::Router for AnyRouter {
            fn route(&self, input: $crate::RouterInput) -> $crate::Routing {
                match self {
                    $(Self::$router(router) => router.route(input),)+
                }
            }

            fn causality(&self) -> $crate::Causality {
                match self {
                    $(Self::$router(router) => router.causality(),)+
                }
            }

            fn competes(&self) -> bool {
                match self {
                    $(Self::$router(router) => router.competes(),)+
                }
            }

            fn advance(self, load: &$crate::Load) -> Self {
                match self {
                    $(Self::$router(router) => Self::$router(router.advance(load)),)+
                }
            }
        }

        /// The configuration of any router of the list: its name and its values.
        #[derive(serde::Serialize, serde::Deserialize, Debug, Clone, PartialEq)]
        #[serde(tag = "name")]
        pub enum RouterConfig {
            $(
                #[doc = concat!("The router named `", $name, "`.")]
                #[serde(rename = $name)]
                $router($config),
            )+
        }

        impl RouterConfig {
            /// The names of all routers, in the order of the list.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The default configuration of a named router, if there is one of that name or alias.
            pub fn from_name(name: &str) -> Option<Self> {
                let alias = Self::ALIASES.iter().find(|(alias, _)| *alias == name);
                match alias.map_or(name, |(_, listed)| *listed) {
                    $($name => Some(Self::$router($config::default())),)+
                    _ => None,
                }
            }

            /// The router's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$router(_) => $name,)+
                }
            }

            /// The keys of its configuration, as its source documents them.
            pub fn keys(&self) -> Vec<$crate::RouterKey> {
                match self {
                    $(Self::$router(_) => $crate::keys::keys(
                        include_str!(concat!(stringify!($module), ".rs")),
                        stringify!($config),
                    ),)+
                }
            }

            /// Properties of the router in this configuration.
            pub fn info(&self) -> $crate::RouterInfo {
                match self {
                    $(Self::$router(config) => $crate::RouterInfo {
                        causality: $crate::Preset::causality(config),
                        family: $crate::Preset::family(config),
                        ..<$config as $crate::Preset>::INFO
                    },)+
                }
            }

            /// Checks the values against the number of experts of a layer.
            ///
            /// # Errors
            ///
            /// Returns what is wrong, where, and what to do.
            pub fn validate(&self, n_experts: usize) -> Result<(), $crate::RouterError> {
                match self {
                    $(Self::$router(config) => $crate::Preset::validate(config, n_experts),)+
                }
            }

            /// Extras that the routings of a training step carry for balance losses.
            pub fn extras(&self) -> Vec<$crate::Extra> {
                match self {
                    $(Self::$router(config) => $crate::Preset::extras(config),)+
                }
            }

            /// The balance losses that the router's source trains it with.
            pub fn balance(&self) -> $crate::BalanceConfig {
                match self {
                    $(Self::$router(config) => $crate::Preset::balance(config),)+
                }
            }

            /// Experts that compute an average token.
            pub fn experts_per_token(&self, n_experts: usize) -> f64 {
                match self {
                    $(Self::$router(config) => {
                        $crate::Preset::experts_per_token(config, n_experts)
                    })+
                }
            }

            /// Rows that the experts compute for an average token of a sequence.
            pub fn rows_per_token(&self, n_experts: usize, seq_length: usize) -> f64 {
                match self {
                    $(Self::$router(config) => {
                        $crate::Preset::rows_per_token(config, n_experts, seq_length)
                    })+
                }
            }

            /// The router's own parameters in a layer, trained or not.
            pub fn n_params(&self, shape: &$crate::RouterShape) -> usize {
                match self {
                    $(Self::$router(config) => $crate::Preset::n_params(config, shape),)+
                }
            }

            /// Builds the router.
            pub fn init(
                &self,
                shape: &$crate::RouterShape,
                device: &burn::tensor::Device,
            ) -> AnyRouter {
                match self {
                    $(Self::$router(config) => {
                        AnyRouter::$router($crate::Preset::init(config, shape, device))
                    })+
                }
            }
        }
    };
}
