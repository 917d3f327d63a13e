//! Steps of a training: forward, loss, backward, clipped gradients, Adam. Prints one JSON line per network, for
//! `tests/peers/training_throughput.py`, which compares with PyTorch. `VLOC_DEVICE` (cpu, cuda:N), `VLOC_THREADS` (2),
//! `VLOC_BATCH` (16 images, by pairs), `VLOC_STEPS` (12) and `VLOC_INPUT` (224, square) choose.
#![allow(clippy::expect_used, reason = "a failure here is a failed run")]

use std::cell::RefCell;
use std::sync::Mutex;
use std::time::Instant;

use tch::nn::VarStore;
use tch::{Kind, Tensor};
use vloc::dataset::FrameInfo;
use vloc::geometry::Se3;
use vloc::network::memory::keep_freed_memory;
use vloc::network::{
    Activation, Block, Device, EncoderConfig, InputSize, LocalizerConfig, MapFromNormalized, NetworkConfig, Odometry,
    PoseNetwork, ResNetConfig, device,
};
use vloc::progress::Progress;
use vloc::training::{Data, PairPlan, Source, Trainer, TrainingConfig, View};
use vloc::{Result, Stamp};

/// Steps before the clock starts.
const WARM_UP: usize = 2;

/// The same images in every step, as in the peer's loop: what is compared is the step, not the reading of images.
struct Noise(Mutex<Tensor>);

impl Source for Noise {
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
        let images = self.0.lock().expect("one thread").shallow_clone();
        Ok((images, vec![Se3::identity(); views.len()]))
    }
}

fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

fn network(block: Block, depths: [i64; 4], side: usize) -> NetworkConfig {
    let shape = ResNetConfig { block, depths, widths: [64, 128, 256, 512], activation: Activation::Relu };
    NetworkConfig {
        encoder: EncoderConfig::Resnet { shape },
        input: InputSize { height: side as u32, width: side as u32 },
        localizer: LocalizerConfig::Average,
        hidden: vec![1024],
        dropout: 0.5,
        odometry: Odometry::None,
        ..NetworkConfig::preset("vlocnet").expect("a preset")
    }
}

/// Images per second.
fn measure(network: &NetworkConfig, processor: tch::Device, images: usize, steps: usize) -> f64 {
    let store = VarStore::new(processor);
    let built = PoseNetwork::new(&store.root(), network).expect("a network");
    let config = TrainingConfig {
        epochs: 1,
        batch_size: images / 2,
        consistency_weight: 0.0,
        weight_decay: 5e-4,
        average_decay: 0.0,
        mixed_precision: false,
        ..TrainingConfig::default()
    };
    let frame = |index: usize| FrameInfo {
        name: index.to_string(),
        stamp: Stamp::from_nanos(index as i64),
        sequence: 0,
        map_from_camera: Se3::identity(),
    };
    // One step more than is measured, and none of those: the last is interrupted, so that nothing is stored.
    let frames: Vec<FrameInfo> = (0..(WARM_UP + steps + 2) * images / 2).map(frame).collect();
    let plan = PairPlan::new(&frames, &(0..frames.len()).collect::<Vec<_>>(), 1, 1).expect("pairs");
    let folder = std::env::temp_dir().join(format!("vloc-training-{}", std::process::id()));
    let units = MapFromNormalized { mean: [0.0; 3], scale: 1.0 };
    let mut trainer = Trainer::new((built, store), network, &config, units, 1, &folder).expect("a trainer");
    let begun = RefCell::new(Vec::new());
    let side = i64::from(network.input.height);
    let source = Noise(Mutex::new(Tensor::randn([images as i64, 3, side, side], (Kind::Float, tch::Device::Cpu))));
    let data = Data { plan: &plan, source: &source, shared: false, validate: &|_| Ok(None), video: None };
    let goes_on = || {
        begun.borrow_mut().push(Instant::now());
        begun.borrow().len() <= WARM_UP + steps
    };
    let interrupted = trainer.run(&data, Progress::Silent, &goes_on);
    assert!(interrupted.is_err(), "the last step is not taken");
    let _ = std::fs::remove_dir_all(&folder);
    let begun = begun.into_inner();
    (images * steps) as f64 / (begun[WARM_UP + steps] - begun[WARM_UP]).as_secs_f64()
}

fn main() {
    let processor = std::env::var("VLOC_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let processor = processor.parse::<Device>().and_then(Device::resolve).expect("a device");
    device::set_threads(setting("VLOC_THREADS", 2));
    keep_freed_memory();
    let (images, steps, side) = (setting("VLOC_BATCH", 16), setting("VLOC_STEPS", 12), setting("VLOC_INPUT", 224));
    for (name, block, depths) in
        [("resnet18", Block::Basic, [2, 2, 2, 2]), ("resnet50", Block::Bottleneck, [3, 4, 6, 3])]
    {
        let rate = measure(&network(block, depths, side), processor, images, steps);
        println!("{{\"network\": \"{name}\", \"images_per_second\": {rate:.3}}}");
    }
}
