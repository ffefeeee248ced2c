//! The pass through a layer that is timed: forward alone, or there and back.

use burn::tensor::{Device, Tensor};
use moe_router::RouterInput;
use serde::Serialize;
use std::fmt;

/// Passes through the layer that are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Pass {
    /// The output alone.
    #[serde(rename = "forward")]
    Forward,
    /// The output, and the gradients of tokens and weights.
    #[serde(rename = "forward+backward")]
    ForwardBackward,
}

impl Pass {
    /// The device with automatic differentiation if there is a way back.
    pub fn device(self, device: &Device) -> Device {
        match self {
            Self::Forward => device.clone(),
            Self::ForwardBackward => device.clone().autodiff(),
        }
    }

    /// FLOP of this pass, from those of the forward pass: each product has two of its size going back.
    pub fn flops(self, forward: u64) -> u64 {
        match self {
            Self::Forward => forward,
            Self::ForwardBackward => 3 * forward,
        }
    }

    /// One call a time, over the inputs in turn, waited for; outputs and gradients are dropped in it.
    pub fn work<'a>(
        self,
        device: Device,
        inputs: Vec<RouterInput>,
        forward: impl Fn(RouterInput) -> Tensor<2> + 'a,
    ) -> Box<dyn FnMut() + 'a> {
        let mut next = inputs.into_iter().cycle();
        Box::new(move || {
            let mut input = next.next().expect("there are inputs");
            match self {
                Self::Forward => {
                    let output = forward(input);
                    device.sync().expect("the device works");
                    drop(output);
                }
                Self::ForwardBackward => {
                    input.x_td = input.x_td.require_grad();
                    let gradients = forward(input).sum().backward();
                    device.sync().expect("the device works");
                    drop(gradients);
                }
            }
        })
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::ForwardBackward => "forward+backward",
        })
    }
}
