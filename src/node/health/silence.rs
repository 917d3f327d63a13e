//! Why nothing comes on an input, as far as discovery can tell, and what to do.

use crate::config::{ImageTransport, Reliability};
use crate::middleware::{Durability, Input, Link, Qos};

/// Offers that are named; the others are counted.
const NAMED_OFFERS: usize = 3;

/// How an input is silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    pub input: Input,
    /// Whether anything came before.
    pub came: bool,
    pub seconds: f64,
    pub transport: ImageTransport,
}

/// One sentence: what is missing where, the likely cause, what to do.
pub(super) fn sentence(silence: Silence, link: Option<&Link>) -> String {
    let Silence { input, came, seconds, .. } = silence;
    let place = link.map_or_else(String::new, |link| format!(" on {}", link.topic));
    let name = input.name();
    let what = if came { format!("no {name}{place} for {seconds:.1} s") } else { format!("no {name} came{place} yet") };
    format!("{what}: {}", cause(silence, link))
}

fn cause(silence: Silence, link: Option<&Link>) -> String {
    let Some(link) = link else { return "is it published, and remapped to the node's topic?".into() };
    match (link.publishers, link.incompatible.len()) {
        (0, 0) if silence.came => {
            "its publisher is gone: has the driver died, is the cable or the network down?".into()
        }
        (0, 0) => format!(
            "nobody publishes there: is the driver running, the name right (-r {}:=/TOPIC), ROS_DOMAIN_ID the same?{}",
            relative(silence),
            other_transport(silence)
        ),
        (0, _) => {
            format!("publishers offer {}; asked is {}: {}", offers(link), link.requested, remedy(silence.input, link))
        }
        (count, _) if silence.came => {
            format!("{} still there: has the driver stopped sending, or the network broken?", heard(count))
        }
        (count, _) => format!("{} there, nothing arrives: does the driver run?{}", heard(count), lossy(silence, link)),
    }
}

fn heard(publishers: usize) -> String {
    if publishers == 1 { "1 publisher is".into() } else { format!("{publishers} publishers are") }
}

/// The name that a remapping rule begins with.
fn relative(silence: Silence) -> &'static str {
    match silence.input {
        Input::Image if silence.transport == ImageTransport::Compressed => "image/compressed",
        Input::Transforms => "/tf",
        input => input.name(),
    }
}

fn other_transport(silence: Silence) -> &'static str {
    match (silence.input, silence.transport) {
        (Input::Image, ImageTransport::Raw) => " Are only compressed images sent (image_transport: compressed)?",
        (Input::Image, ImageTransport::Compressed) => " Are only raw images sent (image_transport: raw)?",
        _ => "",
    }
}

/// What incompatible publishers offer, each once.
pub(super) fn offers(link: &Link) -> String {
    let mut distinct: Vec<&str> = link.incompatible.iter().map(String::as_str).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let more = distinct.len().saturating_sub(NAMED_OFFERS);
    distinct.truncate(NAMED_OFFERS);
    let named = distinct.join(" / ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

fn remedy(input: Input, link: &Link) -> &'static str {
    let offered = |word: &str| link.incompatible.iter().any(|offer| offer.contains(word));
    let Qos { reliability, durability, .. } = link.requested;
    let is_unreliable = reliability == Reliability::Reliable && offered("best effort");
    match input {
        Input::Image | Input::CameraInfo if is_unreliable => "set image_reliability: best_effort",
        _ if is_unreliable => "have it published reliably",
        _ if durability == Durability::TransientLocal && offered("volatile") => {
            "have it published transient local, as static_transform_broadcaster does"
        }
        _ => "change the publisher's QoS (ros2 topic info -v)",
    }
}

fn lossy(silence: Silence, link: &Link) -> &'static str {
    match (silence.input, link.requested.reliability, silence.transport) {
        (Input::Image, Reliability::BestEffort, ImageTransport::Raw) => {
            " Over a network large images get lost: raise net.core.rmem_max, set image_reliability: reliable, or \
             image_transport: compressed"
        }
        (Input::Image, ..) => " Over a network large images get lost: raise net.core.rmem_max",
        _ => "",
    }
}
