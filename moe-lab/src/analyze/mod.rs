//! Measurements of trained experts on held-out data: of text which tokens they take beyond their
//! base rate, how much they tell of a token's class and domain, and whether rare tokens get more of them; of images which
//! patches; of both which domains or classes, and which experts work together.
//!
//! How far tokens would travel if the experts were spread over ranks is counted too, if it is asked for.
//!
//! Everything is counted over kept assignments; of a soft plan, over the mass with which tokens combine an
//! expert's slots.

mod capacity;
mod communication;
mod companions;
mod domains;
mod error;
mod frequency;
mod image_layer;
mod images;
mod information;
mod layer;
mod lift;
mod link;
mod patches;
mod pictures;
mod pixels;
mod reading;
mod stream;
mod takes;
mod text;
mod token_class;
mod top;
mod traced;
mod traffic;
mod visits;
mod whole;

pub use capacity::{AtCapacity, CapacityLayer, DEFAULT_CAPACITIES};
pub(crate) use communication::RowSizes;
pub use communication::{Communication, CommunicationOptions, Links, SkippedWorld, World};
pub use companions::Companions;
pub use domains::Domains;
pub use error::AnalyzeError;
pub use frequency::LEAST_OF_KIND;
pub use image_layer::ImageLayer;
pub use images::ImageAnalysis;
pub(crate) use information::Chance;
pub use information::{Information, LayerInformation};
pub use layer::LayerAnalysis;
pub(crate) use lift::top_tokens;
pub use lift::{LEAST_COUNT, MOST_TOKENS, TokenLift};
pub use link::{LINKS, Link, LinkError, NamedLink};
pub use patches::PatchGrid;
pub use pictures::{MOST_PICTURES, PatchPlan, Picture};
pub use pixels::{Frame, Pixels};
pub use stream::TextLayer;
pub use text::TextAnalysis;
pub use token_class::TokenClass;
pub use top::{MOST_PATCHES, TopPatch};
pub use traffic::{Traffic, Volume};
pub use whole::{Analysis, AnalyzeOptions, TraceOptions, analyze, record};
