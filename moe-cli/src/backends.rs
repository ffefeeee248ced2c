//! The backends: one table of names, each with the Cargo feature that builds it in.

use crate::exit::panic_text;
use crate::invocation;
use anyhow::anyhow;
use burn::tensor::{Device, Tensor};
use moe_train::resolve::nearest;
use std::panic;

/// A backend of the table.
#[derive(Debug)]
pub struct Backend {
    /// The name on the command line.
    pub name: &'static str,
    /// The Cargo feature.
    pub feature: &'static str,
    /// The hardware that it computes on.
    pub about: &'static str,
    /// The thing that an index after the name chooses; empty where there is nothing to choose.
    pub index: &'static str,
    /// Makes its device; none where the feature is off.
    open: Option<fn(Option<usize>) -> Device>,
}

macro_rules! backends {
    ($($name:literal = $feature:literal, $about:literal, $index:literal, |$i:pat_param| $open:expr;)+) => {
        /// All backends, the default first.
        pub const BACKENDS: &[Backend] = &[$(Backend {
            name: $name,
            feature: $feature,
            about: $about,
            index: $index,
            #[cfg(feature = $feature)]
            open: Some(|$i| $open),
            #[cfg(not(feature = $feature))]
            open: None,
        }),+];
    };
}

backends! {
    "flex" = "flex", "CPU, pure Rust, all cores", "", |_| Device::flex();
    "cuda" = "cuda", "NVIDIA GPU", "GPU", |i| Device::cuda(i.unwrap_or(0));
    "rocm" = "rocm", "AMD GPU", "GPU", |i| Device::rocm(i.unwrap_or(0));
    "metal" = "metal", "Apple GPU", "discrete GPU", |i| Device::metal(graphics(i));
    "vulkan" = "vulkan", "GPU through Vulkan", "discrete GPU", |i| Device::vulkan(graphics(i));
    "wgpu" = "wgpu", "GPU through WebGPU, any system", "discrete GPU", |i| Device::wgpu(graphics(i));
    "cubecl-cpu" = "cpu", "CPU, kernels compiled at run time (CubeCL)", "", |_| Device::cpu();
    "tch" = "tch", "LibTorch: CPU, or CUDA with an index", "GPU", |i| libtorch(i);
    "ndarray" = "ndarray", "CPU, plain Rust arrays", "", |_| ndarray();
}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
fn graphics(index: Option<usize>) -> burn::tensor::DeviceKind {
    use burn::tensor::DeviceKind;
    index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)
}

#[cfg(feature = "tch")]
#[allow(deprecated)] // deprecated in Burn 0.22, which this program is built with
fn libtorch(index: Option<usize>) -> Device {
    index.map_or_else(Device::libtorch, Device::libtorch_cuda)
}

#[cfg(feature = "ndarray")]
#[allow(deprecated)] // deprecated in Burn 0.22, which this program is built with
fn ndarray() -> Device {
    Device::ndarray()
}

impl Backend {
    /// Tells whether this program was built with it.
    pub fn is_compiled(&self) -> bool {
        self.open.is_some()
    }

    /// Tells whether it is the one that is built in without asking.
    pub fn is_default(&self) -> bool {
        self.name == BACKENDS[0].name
    }
}

/// A device of the command line: a backend that is built in and, where it has several, an index.
#[derive(Debug, Clone)]
pub struct DeviceChoice {
    backend: &'static Backend,
    open: fn(Option<usize>) -> Device,
    index: Option<usize>,
}

/// A device that has answered.
#[derive(Debug)]
pub struct OpenDevice {
    /// Its name on the command line.
    pub name: String,
    /// The device, without automatic differentiation.
    pub device: Device,
}

impl DeviceChoice {
    /// Reads `NAME` or `NAME:INDEX`.
    ///
    /// # Errors
    ///
    /// Says the nearest name to an unknown one, and how to build in a backend that is not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index)),
            None => (text, None),
        };
        // what `cpu` is elsewhere is the first backend here
        let name = if name == "cpu" {
            BACKENDS[0].name
        } else {
            name
        };
        let backend = BACKENDS.iter().find(|backend| backend.name == name);
        let backend = backend.ok_or_else(|| unknown(name))?;
        let index = index.map(|index| parse_index(backend, index)).transpose()?;
        let open = backend.open.ok_or_else(|| not_compiled(backend))?;
        Ok(Self {
            backend,
            open,
            index,
        })
    }

    /// The default backend, or the first that is built in.
    pub fn first() -> Result<Self, &'static str> {
        let mut compiled = BACKENDS.iter().filter_map(|backend| {
            let open = backend.open?;
            let index = None;
            Some(Self {
                backend,
                open,
                index,
            })
        });
        compiled
            .next()
            .ok_or("this program has no backend; build it with one, such as `--features flex`")
    }

    /// The name as it is given on the command line.
    pub fn name(&self) -> String {
        match self.index {
            Some(index) => format!("{}:{index}", self.backend.name),
            None => self.backend.name.to_owned(),
        }
    }

    /// The backend.
    pub fn backend(&self) -> &'static Backend {
        self.backend
    }

    /// Starts the device and waits for its first answer, so that one that cannot work fails here.
    pub fn open(&self) -> anyhow::Result<OpenDevice> {
        let name = self.name();
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| ()));
        let answer = panic::catch_unwind(|| probe(self.open, self.index));
        panic::set_hook(hook);
        let reason = match answer {
            Ok(Some(device)) => return Ok(OpenDevice { name, device }),
            Ok(None) => "it computes 1 + 1 wrongly".to_owned(),
            Err(payload) => reason(&panic_text(&*payload)),
        };
        Err(anyhow!(
            "the device `{name}` does not work: {reason}. Check its driver and index, or use another; \
             `moe list backends` shows those built in"
        ))
    }
}

/// The device, if it adds one and one.
fn probe(open: fn(Option<usize>) -> Device, index: Option<usize>) -> Option<Device> {
    let device = open(index);
    let two = Tensor::<1>::ones([1], &device) + 1.0;
    (two.into_scalar::<f32>() == 2.0).then_some(device)
}

fn parse_index(backend: &Backend, text: &str) -> Result<usize, String> {
    if backend.index.is_empty() {
        return Err(format!(
            "`{0}` is one device and takes no index; write `{0}`",
            backend.name
        ));
    }
    text.parse()
        .map_err(|_| format!("`{text}` is no index; write `{}:0`", backend.name))
}

fn unknown(name: &str) -> String {
    match name {
        "gpu" => {
            return "there is no backend `gpu`: write `cuda` (NVIDIA), `rocm` (AMD), `metal` (Apple), or \
                    `vulkan` or `wgpu` (any)"
                .to_owned();
        }
        "mps" => return "there is no backend `mps`; did you mean `metal`?".to_owned(),
        _ => (),
    }
    let names = BACKENDS.iter().map(|backend| backend.name);
    match nearest(name, names.clone()) {
        Some(near) => format!("there is no backend `{name}`; did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = names.collect();
            format!(
                "there is no backend `{name}`; there are {}",
                names.join(", ")
            )
        }
    }
}

/// The reason of a device that does not start, in words: CubeCL's runtimes start on a thread of their own, and where
/// there is no device or no driver that thread ends without an answer.
fn reason(panic: &str) -> String {
    if panic.contains("RecvError") {
        return "its runtime ended before it answered: there is no such device here, or its driver or library is missing"
            .to_owned();
    }
    panic.to_owned()
}

fn not_compiled(backend: &Backend) -> String {
    format!(
        "the backend `{}` is not built in; run\n  {} {}",
        backend.name,
        invocation::with_feature(backend.feature),
        invocation::arguments()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        DeviceChoice::parse(text).expect_err("it is not a device")
    }

    #[test]
    fn a_name_that_is_near_is_suggested() {
        assert_eq!(
            error("flexx"),
            "there is no backend `flexx`; did you mean `flex`?"
        );
        assert!(error("abacus").ends_with(
            "there are flex, cuda, rocm, metal, vulkan, wgpu, cubecl-cpu, tch, ndarray"
        ));
    }

    #[test]
    fn names_of_other_frameworks_lead_to_ours() {
        let cpu = DeviceChoice::parse("cpu").map(|choice| choice.name());
        assert_eq!(cpu, DeviceChoice::parse("flex").map(|choice| choice.name()));
        assert!(error("gpu").contains("`cuda` (NVIDIA)") && error("gpu").contains("`metal`"));
        assert!(error("mps").ends_with("did you mean `metal`?"));
        let not_built_in = error("cubecl-cpu");
        assert!(not_built_in.contains("--features cpu --"), "{not_built_in}");
    }

    #[test]
    fn an_index_is_a_number_where_there_are_several() {
        assert_eq!(
            error("flex:1"),
            "`flex` is one device and takes no index; write `flex`"
        );
        assert_eq!(error("cuda:x"), "`x` is no index; write `cuda:0`");
    }

    #[test]
    fn a_runtime_that_ends_without_an_answer_is_said_in_words() {
        let panic = "called `Result::unwrap()` on an `Err` value: RecvError";
        assert!(reason(panic).contains("there is no such device here"));
        assert_eq!(reason("no adapter"), "no adapter");
    }

    #[test]
    fn every_backend_is_a_feature_of_this_crate() {
        let manifest = include_str!("../Cargo.toml");
        for backend in BACKENDS {
            let line = format!("\n{0} = [\"burn/{0}\"", backend.feature);
            assert!(manifest.contains(&line), "{}", backend.name);
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn flex_is_the_default_and_answers() {
        let device = DeviceChoice::first().expect("flex is built in").open();
        assert_eq!(device.expect("a CPU is always there").name, "flex");
    }
}
