//! The node as others see it, without a middleware: lifecycle, parameters, services, and the model that is switched
//! while it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/bench.rs"]
mod bench;

use std::path::Path;

use bench::*;
use vloc::config::Config;
use vloc::middleware::{Call, Incoming, Outgoing, Picture, Responder};
use vloc::msg::lifecycle_msgs::{ChangeStateRequest, Transition};
use vloc::msg::rcl_interfaces::{
    NamesRequest, Parameter, ParameterValue, SetParametersRequest, SetParametersResult, parameter_type,
};
use vloc::msg::std_srvs::Empty;
use vloc::node::{Effect, Loaded, ManagedNode, Phase, Worker};
use vloc::{Error, Stamp};

/// A node whose outside is at hand: models are loaded when told to, images are localized at once.
struct Life {
    node: ManagedNode,
    worker: Option<Worker<Brightness>>,
    /// Models that wait to be loaded.
    loads: Vec<Config>,
    outgoing: Vec<Outgoing>,
    now: Stamp,
}

impl Life {
    fn new(config: Config) -> Self {
        let node = ManagedNode::new(Config { path_length: 0, ..config }, "/vloc").unwrap();
        let mut life = Self { node, worker: None, loads: Vec::new(), outgoing: Vec::new(), now: at(0) };
        life.node.begin(life.now);
        life.settle();
        life
    }

    fn settle(&mut self) {
        for effect in self.node.take_effects() {
            match effect {
                Effect::Localize(job) => {
                    let answer = self.worker.as_mut().unwrap().work(job);
                    self.node.finish(answer, self.now);
                }
                Effect::Load(config) => self.loads.push(*config),
                Effect::Unload => self.worker = None,
                Effect::Save(pose) => pose.write().unwrap(),
            }
        }
        self.outgoing.append(&mut self.node.take_outgoing());
    }

    /// Ends the load that waits; a model whose name holds `bad` does not work.
    fn load(&mut self) -> vloc::Result<()> {
        let config = self.loads.remove(0);
        let is_bad = config.model.to_string_lossy().contains("bad");
        let result = if is_bad { Err(Error::compute("weights", "broken")) } else { Ok(Brightness::default()) };
        let camera =
            result.as_ref().map(vloc::node::Localizer::camera).map_err(|_| Error::compute("weights", "broken"));
        if self.node.loaded(camera, self.now)? == Loaded::Use {
            self.worker = Some(Worker::new(result.unwrap()));
        }
        self.settle();
        Ok(())
    }

    fn give(&mut self, incoming: Incoming) {
        self.node.receive(incoming, self.now);
        self.settle();
    }

    /// Poses that an image makes.
    fn image(&mut self, milliseconds: i64) -> usize {
        let before = self.poses();
        self.give(odometry(at(milliseconds + 50)));
        self.now = at(milliseconds + 10);
        self.give(Incoming::Image(Picture::Raw(picture(at(milliseconds), 50))));
        self.poses() - before
    }

    fn poses(&self) -> usize {
        self.outgoing.iter().filter(|out| matches!(out, Outgoing::Pose(_))).count()
    }

    fn ask<T>(&mut self, call: impl FnOnce(Responder<T>) -> Call) -> tokio::sync::oneshot::Receiver<T> {
        let (responder, answer) = Responder::new();
        self.give(Incoming::Call(call(responder)));
        answer
    }

    fn begin_change(&mut self, label: &str) -> tokio::sync::oneshot::Receiver<bool> {
        let (sender, changed) = tokio::sync::oneshot::channel();
        let request = ChangeStateRequest { transition: Transition { id: 0, label: label.into() } };
        let mut answer = self.ask(|responder| Call::ChangeState(request, responder));
        match answer.try_recv() {
            Ok(response) => sender.send(response.success).unwrap(),
            Err(_) => drop(sender),
        }
        changed
    }

    fn change(&mut self, label: &str) -> bool {
        self.begin_change(label).try_recv().unwrap()
    }

    fn begin_set(&mut self, parameters: Vec<Parameter>) -> tokio::sync::oneshot::Receiver<Vec<SetParametersResult>> {
        let (sender, results) = tokio::sync::oneshot::channel();
        let mut answer = self.ask(|responder| Call::SetParameters(SetParametersRequest { parameters }, responder));
        match answer.try_recv() {
            Ok(response) => sender.send(response.results).unwrap(),
            Err(_) => drop(sender),
        }
        results
    }
}

fn text(name: &str, value: &Path) -> Parameter {
    let string_value = value.to_str().unwrap().to_owned();
    let value = ParameterValue { kind: parameter_type::STRING, string_value, ..ParameterValue::default() };
    Parameter { name: name.into(), value }
}

fn number(name: &str, double_value: f64) -> Parameter {
    let value = ParameterValue { kind: parameter_type::DOUBLE, double_value, ..ParameterValue::default() };
    Parameter { name: name.into(), value }
}

fn transitions(life: &Life) -> Vec<(String, String)> {
    let ends = |out: &Outgoing| match out {
        Outgoing::Transition(event) => Some((event.start_state.label.clone(), event.goal_state.label.clone())),
        _ => None,
    };
    life.outgoing.iter().filter_map(ends).collect()
}

/// Three model folders beside each other.
fn models() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["good", "better", "bad"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let config = Config { model: folder.path().join("good"), ..alone() };
    (folder, config)
}

#[test]
fn a_node_that_starts_itself_localizes_once_its_model_is_loaded() {
    let mut life = Life::new(alone());
    assert_eq!(life.node.phase(), Phase::Configuring);
    // What comes before is not lost, but for images.
    life.give(calibration());
    life.give(mounting());
    assert_eq!(life.image(0), 0);
    life.load().unwrap();
    assert_eq!(life.node.phase(), Phase::Active);
    assert_eq!(life.image(100), 1);
    let names: Vec<(String, String)> = transitions(&life);
    let expected = [
        ("unconfigured", "configuring"),
        ("configuring", "inactive"),
        ("inactive", "activating"),
        ("activating", "active"),
    ];
    assert_eq!(names, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
}

#[test]
fn a_node_that_starts_itself_says_what_is_wrong_with_its_model() {
    let mut life = Life::new(Config { model: "models/bad".into(), ..alone() });
    assert!(life.load().unwrap_err().to_string().contains("broken"));
}

#[test]
fn a_managed_node_is_silent_until_it_is_active_and_after() {
    let mut life = Life::new(Config { autostart: false, ..alone() });
    life.give(calibration());
    life.give(mounting());
    assert!(!life.change("activate"), "not before it is configured");
    let mut configured = life.begin_change("configure");
    assert!(configured.try_recv().is_err(), "the answer waits for the model");
    assert!(!life.change("configure"), "it is under way");
    life.load().unwrap();
    assert_eq!((life.node.phase(), life.image(0)), (Phase::Inactive, 0));
    assert!(life.change("activate"));
    assert_eq!((life.image(100), life.image(200)), (1, 1));
    assert!(life.change("deactivate"));
    let sent = life.outgoing.len();
    assert_eq!(life.image(300), 0);
    for tick in 0..40 {
        life.node.tick(at(400 + 50 * tick), Vec::new());
    }
    life.settle();
    let later = &life.outgoing[sent..];
    assert!(!later.is_empty() && later.iter().all(|out| matches!(out, Outgoing::Diagnostics(_))), "{later:?}");
    let Some(Outgoing::Diagnostics(report)) = later.last() else { panic!() };
    assert!(report.message.starts_with("inactive: "), "{}", report.message);
    assert!(life.change("cleanup") && life.worker.is_none());
    assert!(life.change("shutdown"));
    assert_eq!(life.node.phase(), Phase::Finalized);
    assert!(!life.change("configure"), "nothing follows");
}

#[test]
fn a_model_that_does_not_load_leaves_a_managed_node_unconfigured() {
    let (folder, config) = models();
    let mut life = Life::new(Config { autostart: false, model: folder.path().join("bad"), ..config });
    let mut answer = {
        let request = ChangeStateRequest { transition: Transition { id: 1, label: String::new() } };
        life.ask(|responder| Call::ChangeState(request, responder))
    };
    life.load().unwrap();
    assert!(!answer.try_recv().unwrap().success);
    assert_eq!(life.node.phase(), Phase::Unconfigured);
    // Another one does, and needs no restart.
    let set = life.begin_set(vec![text("model", &folder.path().join("good"))]).try_recv().unwrap();
    assert!(set[0].successful, "{}", set[0].reason);
    drop(life.begin_change("configure"));
    life.load().unwrap();
    assert_eq!(life.node.phase(), Phase::Inactive);
}

#[test]
fn a_model_is_switched_while_the_node_runs_and_a_bad_one_leaves_the_old_one_running() {
    let (folder, config) = models();
    let mut life = Life::new(config);
    life.give(calibration());
    life.give(mounting());
    life.load().unwrap();
    assert_eq!(life.image(0), 1);

    for (name, works) in [("bad", false), ("better", true)] {
        let parameters = vec![number("transform_tolerance", 0.1), text("model", &folder.path().join(name))];
        let request = SetParametersRequest { parameters };
        let mut answer = life.ask(|responder| Call::SetParameters(request, responder));
        assert!(answer.try_recv().is_err(), "it waits for the model");
        assert_eq!(life.image(if works { 200 } else { 100 }), 1, "the old one goes on meanwhile");
        let busy = life.begin_set(vec![text("model", &folder.path().join("better"))]).try_recv().unwrap();
        assert!(!busy[0].successful && busy[0].reason.contains("being loaded"), "{}", busy[0].reason);
        life.load().unwrap();
        let results = answer.try_recv().unwrap().results;
        assert_eq!([results[0].successful, results[1].successful], [true, works], "{}", results[1].reason);
        let names = NamesRequest { names: vec!["model".into()] };
        let model = life.ask(|responder| Call::GetParameters(names, responder)).try_recv().unwrap();
        assert!(model.values[0].string_value.ends_with(if works { "better" } else { "good" }));
    }
    assert_eq!(life.image(300), 1);
    let events = life.outgoing.iter().filter_map(|out| match out {
        Outgoing::Parameters(event) => Some(event.changed_parameters.iter().map(|changed| changed.name.as_str())),
        _ => None,
    });
    assert_eq!(events.flatten().collect::<Vec<_>>(), ["transform_tolerance", "model"], "what changed, once");
}

#[test]
fn parameters_take_effect_at_once_or_say_why_not() {
    let mut life = Life::new(alone());
    life.give(calibration());
    life.give(mounting());
    life.load().unwrap();
    let results = life
        .begin_set(vec![
            number("transform_tolerance", 0.75),
            number("transform_tolerance", -1.0),
            number("tf_publish_rate", 50.0),
            text("model", Path::new("/etc")),
        ])
        .try_recv();
    // The model of the start does not exist as a folder: none may be asked for.
    let results = results.unwrap();
    assert_eq!(results.iter().map(|result| result.successful).collect::<Vec<_>>(), [true, false, true, false]);
    assert_eq!(life.node.tick_period(), std::time::Duration::from_millis(10));
    assert_eq!((life.image(0), life.image(100)), (1, 1));
    let dated = life.outgoing.iter().rev().find_map(|out| match out {
        Outgoing::Transform(transform) => Some(transform.stamp),
        _ => None,
    });
    assert_eq!(dated, Some(at(850)));

    let both = vec![number("transform_tolerance", 0.1), number("tf_publish_rate", 0.0)];
    let request = SetParametersRequest { parameters: both };
    let mut answer = life.ask(|responder| Call::SetParametersAtomically(request, responder));
    let result = answer.try_recv().unwrap().result;
    assert!(!result.successful && result.reason.contains("tf_publish_rate"), "{}", result.reason);
    let names = NamesRequest { names: vec!["transform_tolerance".into()] };
    let kept = life.ask(|responder| Call::GetParameters(names, responder)).try_recv().unwrap();
    assert_eq!(kept.values[0].double_value, 0.75, "all or none");
}

#[test]
fn the_robot_is_looked_for_when_somebody_asks() {
    let mut life = Life::new(Config { path_length: 0, ..Config::default() });
    life.give(calibration());
    life.give(mounting());
    assert!(!life.ask(|responder| Call::Reset(Empty::default(), responder)).try_recv().unwrap().success);
    life.load().unwrap();
    let found = |life: &mut Life, from: i64| (0..40).map(|i| life.image(from + 100 * i)).sum::<usize>();
    let first = found(&mut life, 0);
    assert!(first > 20, "{first}");
    assert_eq!(life.image(4000), 1);
    let asked = life.ask(|responder| Call::ReinitializeGlobalLocalization(Empty::default(), responder)).try_recv();
    assert_eq!(asked.unwrap(), Empty::default());
    assert_eq!(life.image(4100), 0, "one image is no consensus");
    assert!(found(&mut life, 4200) > 20);
    assert!(life.ask(|responder| Call::Reset(Empty::default(), responder)).try_recv().unwrap().success);
    assert_eq!(life.image(8300), 0);
    assert!(found(&mut life, 8400) > 20);
}

#[test]
fn the_last_pose_outlives_a_restart() {
    let (folder, config) = models();
    let saved_pose_filepath = folder.path().join("pose.yaml");
    let config = Config { saved_pose_filepath, initialize_at_saved_pose: true, use_estimator: true, ..config };
    let mut life = Life::new(config.clone());
    life.give(calibration());
    life.give(mounting());
    life.load().unwrap();
    assert_eq!(life.image(0), 0, "nothing was saved: it is looked for");
    for i in 1..40 {
        life.image(100 * i);
    }
    life.node.tick(at(4000), Vec::new());
    life.settle();
    assert!(config.saved_pose_filepath.exists());

    let mut again = Life::new(config);
    again.give(calibration());
    again.give(mounting());
    again.load().unwrap();
    assert_eq!(again.image(10_000), 1, "it starts where it was");
}

#[test]
fn one_model_is_loaded_at_a_time() {
    let (folder, config) = models();
    let path = |name: &str| folder.path().join(name);
    let mut life = Life::new(config);
    let early = life.begin_set(vec![text("model", &path("better"))]).try_recv().unwrap();
    assert!(!early[0].successful && early[0].reason.contains("being loaded"), "{}", early[0].reason);
    life.load().unwrap();
    let request =
        SetParametersRequest { parameters: vec![text("model", &path("better")), text("model", &path("bad"))] };
    let mut answer = life.ask(|responder| Call::SetParameters(request, responder));
    life.load().unwrap();
    let results = answer.try_recv().unwrap().results;
    assert_eq!(results.iter().map(|result| result.successful).collect::<Vec<_>>(), [true, false]);
    let names = NamesRequest { names: vec!["model".into()] };
    let model = life.ask(|responder| Call::GetParameters(names, responder)).try_recv().unwrap();
    assert!(model.values[0].string_value.ends_with("better") && life.loads.is_empty());
}
