//! The processor that training runs on: the CPU, or a GPU if there is one.
//!
//! Which devices a build can use is decided by features (`vulkan`, `cuda`),
//! which of them it does use by configuration. Asking a GPU runtime for a device
//! where there is none may hang for minutes, so adapters are listed first, on a
//! thread of their own and with a deadline; software adapters do not count.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use burn::tensor::Device;

/// How long listing the adapters may take before there are held to be none.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long opening an adapter that is there may take; drivers load slowly.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Which device the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A GPU that Vulkan finds, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU through Vulkan, or an error.
    Vulkan,
    /// An NVIDIA GPU through CUDA, or an error.
    Cuda,
}

/// The kind of device that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// burn's `flex` on the CPU.
    Cpu,
    /// burn's `wgpu` with Vulkan.
    Vulkan,
    /// burn's `cuda`.
    Cuda,
}

/// What was opened and why, for logs and people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    /// The kind of device.
    pub backend: Backend,
    /// The device's name, such as that of the graphics card.
    pub name: String,
    /// Why it is not the first choice, if it is not.
    pub fallback: Option<String>,
}

/// Why no device can be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// A text names no device.
    #[error("there is no device `{0}`: use `auto`, `cpu`, `vulkan` or `cuda`")]
    Unknown(String),
    /// This program was built without the device.
    #[error(
        "this program was built without {device}: build it with `--features {feature}`, or use `device = \"auto\"`"
    )]
    NotBuilt {
        /// The device asked for.
        device: &'static str,
        /// The feature that adds it.
        feature: &'static str,
    },
    /// The device was asked for by name and is not there; holds what was found instead.
    #[error(
        "cannot use Vulkan: {0}; install the graphics card's Vulkan driver, or use `device = \"auto\"`"
    )]
    NoAdapter(String),
}

/// Opens the chosen device.
///
/// `Auto` never fails: without a GPU that answers within [`PROBE_TIMEOUT`] it
/// is the CPU, and the report says why. An adapter that answers is given
/// [`OPEN_TIMEOUT`] to open.
pub fn open_device(choice: DeviceChoice) -> Result<(Device, DeviceReport), DeviceError> {
    match choice {
        DeviceChoice::Cpu => Ok(cpu(None)),
        DeviceChoice::Vulkan => vulkan(),
        DeviceChoice::Cuda => cuda(),
        DeviceChoice::Auto => match vulkan() {
            Err(DeviceError::NoAdapter(why)) => Ok(cpu(Some(why))),
            // Where a GPU was never an option there is nothing to explain.
            Err(_) => Ok(cpu(None)),
            opened => opened,
        },
    }
}

fn cpu(fallback: Option<String>) -> (Device, DeviceReport) {
    let name = format!("CPU ({})", std::env::consts::ARCH);
    (Device::flex(), DeviceReport { backend: Backend::Cpu, name, fallback })
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<(Device, DeviceReport), DeviceError> {
    Err(DeviceError::NotBuilt { device: "Vulkan", feature: "vulkan" })
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Result<(Device, DeviceReport), DeviceError> {
    let (device, name) = adapters::open().map_err(DeviceError::NoAdapter)?;
    Ok((device, DeviceReport { backend: Backend::Vulkan, name, fallback: None }))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<(Device, DeviceReport), DeviceError> {
    Err(DeviceError::NotBuilt { device: "CUDA", feature: "cuda" })
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<(Device, DeviceReport), DeviceError> {
    let report =
        DeviceReport { backend: Backend::Cuda, name: "CUDA device 0".to_owned(), fallback: None };
    Ok((Device::cuda(0), report))
}

#[cfg(feature = "vulkan")]
mod adapters {
    //! Finding and opening a Vulkan adapter without trusting the driver to answer.

    use std::pin::pin;
    use std::sync::{OnceLock, mpsc};
    use std::task::{Context, Poll, Waker};
    use std::thread;
    use std::time::Duration;

    use burn::tensor::wgpu::WgpuBackend;
    use burn::tensor::wgpu::wgpu::{Adapter, Backends, DeviceType, Instance, InstanceDescriptor};
    use burn::tensor::{Device, DeviceKind};

    use super::{OPEN_TIMEOUT, PROBE_TIMEOUT};

    /// The best hardware adapter, open, and its name.
    ///
    /// It is opened once for the whole process, which is all that burn allows.
    pub(super) fn open() -> Result<(Device, String), String> {
        static OPENED: OnceLock<Result<(Device, String), String>> = OnceLock::new();
        OPENED.get_or_init(open_once).clone()
    }

    fn open_once() -> Result<(Device, String), String> {
        let adapters = within(PROBE_TIMEOUT, list)?;
        let (kind, name) = choose(&adapters).ok_or_else(|| describe(&adapters))?;
        let options = move || {
            Device::wgpu_options().device_kind(kind).graphics_api(WgpuBackend::Vulkan).init()
        };
        let device = within(OPEN_TIMEOUT, options)?
            .map_err(|error| format!("{name} does not open: {error}"))?;
        Ok((device, name))
    }

    /// Asks the driver on a thread of its own, which is left behind if it does not answer.
    fn within<T: Send + 'static>(
        timeout: Duration,
        ask: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let (sender, receiver) = mpsc::channel();
        // A failed send means that nobody listens after the deadline.
        let probe = move || drop(sender.send(ask()));
        thread::Builder::new()
            .name("vulkan-probe".to_owned())
            .spawn(probe)
            .map_err(|error| format!("cannot start a thread to ask the driver: {error}"))?;
        receiver.recv_timeout(timeout).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => {
                format!("the Vulkan driver did not answer within {} s", timeout.as_secs())
            }
            mpsc::RecvTimeoutError::Disconnected => "the Vulkan driver failed".to_owned(),
        })
    }

    /// Type and name of each Vulkan adapter, in the driver's order.
    fn list() -> Vec<(DeviceType, String)> {
        let mut options = InstanceDescriptor::new_without_display_handle();
        options.backends = Backends::VULKAN;
        let adapters = Instance::new(options).enumerate_adapters(Backends::VULKAN);
        let info = |adapter: &Adapter| {
            let info = adapter.get_info();
            (info.device_type, info.name)
        };
        // Outside a browser the list is ready at once.
        match pin!(adapters).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(adapters) => adapters.iter().map(info).collect(),
            Poll::Pending => Vec::new(),
        }
    }

    /// The first discrete card, otherwise the first integrated, otherwise the first virtual one.
    fn choose(adapters: &[(DeviceType, String)]) -> Option<(DeviceKind, String)> {
        let order = [
            (DeviceType::DiscreteGpu, DeviceKind::DiscreteGpu(0)),
            (DeviceType::IntegratedGpu, DeviceKind::IntegratedGpu(0)),
            (DeviceType::VirtualGpu, DeviceKind::VirtualGpu(0)),
        ];
        order.into_iter().find_map(|(wanted, kind)| {
            let found = adapters.iter().find(|(found, _)| *found == wanted)?;
            Some((kind, found.1.clone()))
        })
    }

    fn describe(adapters: &[(DeviceType, String)]) -> String {
        let names: Vec<&str> = adapters.iter().map(|(_, name)| name.as_str()).collect();
        match names.as_slice() {
            [] => "there is no Vulkan adapter".to_owned(),
            names => format!("there is no hardware adapter, only {}", names.join(", ")),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn prefers_a_discrete_card_and_ignores_software() {
            let adapter = |kind, name: &str| (kind, name.to_owned());
            let software = adapter(DeviceType::Cpu, "llvmpipe");
            let integrated = adapter(DeviceType::IntegratedGpu, "integrated");
            let discrete = adapter(DeviceType::DiscreteGpu, "discrete");
            let all = [software.clone(), integrated.clone(), discrete];
            assert_eq!(choose(&all), Some((DeviceKind::DiscreteGpu(0), "discrete".to_owned())));
            assert_eq!(
                choose(&all[..2]),
                Some((DeviceKind::IntegratedGpu(0), "integrated".to_owned()))
            );
            assert_eq!(choose(&all[..1]), None);
            assert!(describe(&all[..1]).contains("llvmpipe"));
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        })
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        })
    }
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.backend, self.name)?;
        match &self.fallback {
            Some(why) => write!(f, " (no GPU: {why})"),
            None => Ok(()),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "vulkan" => Ok(Self::Vulkan),
            "cuda" => Ok(Self::Cuda),
            other => Err(DeviceError::Unknown(other.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_shows() {
        for choice in
            [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Vulkan, DeviceChoice::Cuda]
        {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("npu".parse::<DeviceChoice>(), Err(DeviceError::Unknown("npu".to_owned())));
    }

    #[test]
    fn auto_always_opens_something() {
        let (_, report) = open_device(DeviceChoice::Auto).unwrap();
        assert!(!report.name.is_empty());
        assert_eq!(open_device(DeviceChoice::Cpu).unwrap().1.backend, Backend::Cpu);
    }

    #[test]
    #[cfg(not(feature = "vulkan"))]
    fn names_the_feature_that_is_missing() {
        for (choice, feature) in [(DeviceChoice::Vulkan, "vulkan"), (DeviceChoice::Cuda, "cuda")] {
            let error = open_device(choice).unwrap_err();
            assert!(error.to_string().contains(&format!("--features {feature}")), "{error}");
        }
    }
}
