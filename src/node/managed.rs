//! The node as others see it: its lifecycle, its parameters and its services around the [`Core`] that localizes.
//!
//! No threads, sockets and files here either: what has to be done outside (load a model, run the network, write a
//! file) leaves as an [`Effect`], and its result comes back as a call. A model is loaded beside the running one and
//! replaces it only when it works.

use std::time::Duration;

use super::core::Core;
use super::health::{Health, Reason};
use super::lifecycle::{Lifecycle, Outcome, Phase};
use super::localizer::{Answer, Job};
use super::parameters::Parameters;
use super::saved_pose::SavedPose;
use crate::config::Config;
use crate::middleware::{Call, Incoming, Link, Outgoing, Responder};
use crate::msg::lifecycle_msgs::{
    ChangeStateResponse, GetAvailableStatesResponse, GetAvailableTransitionsResponse, GetStateResponse, Transition,
    TransitionEvent,
};
use crate::msg::rcl_interfaces::{
    DescribeParametersResponse, GetParameterTypesResponse, GetParametersResponse, ListParametersResponse, Parameter,
    ParameterEvent, SetParametersAtomicallyResponse, SetParametersResponse, SetParametersResult,
};
use crate::msg::std_srvs::{Empty, TriggerResponse};
use crate::sensor::CameraModel;
use crate::{Error, Result, Stamp};

/// Something that the node wants done outside of it.
pub enum Effect {
    /// The network is to look at an image.
    Localize(Job),
    /// A model is to be loaded; [`ManagedNode::loaded`] takes the result.
    Load(Box<Config>),
    /// The model is to be given back.
    Unload,
    /// The last pose is to be written to its file; [`ManagedNode::not_saved`] takes a failure.
    Save(Box<SavedPose>),
}

/// What to do with a model that was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// It replaces the one before.
    Use,
    /// It is of no use.
    Discard,
}

/// What waits for a model.
enum Waiting {
    Configure { asked: Option<Responder<ChangeStateResponse>>, then_activate: bool },
    Switch { changes: Vec<Parameter>, finish: Box<dyn FnOnce(SetParametersResult) + Send> },
}

/// The node with its lifecycle, parameters and services. See the module's text.
pub struct ManagedNode {
    name: String,
    parameters: Parameters,
    lifecycle: Lifecycle,
    core: Core,
    waiting: Option<Waiting>,
    saved: Option<Stamp>,
    effects: Vec<Effect>,
    outgoing: Vec<Outgoing>,
}

impl ManagedNode {
    /// An unconfigured node of an absolute name.
    ///
    /// # Errors
    /// Those of [`Core::new`].
    pub fn new(config: Config, name: impl Into<String>) -> Result<Self> {
        let mut core = Core::new(config.clone())?;
        core.set_phase(Phase::Unconfigured);
        Ok(Self {
            name: name.into(),
            parameters: Parameters::new(config)?,
            lifecycle: Lifecycle::default(),
            core,
            waiting: None,
            saved: None,
            effects: Vec::new(),
            outgoing: Vec::new(),
        })
    }

    /// Begins its life: tells its parameters, and configures and activates itself where `autostart` says so.
    pub fn begin(&mut self, now: Stamp) {
        let declared = self.parameters.all();
        self.tell_parameters(now, |event| event.new_parameters = declared);
        self.start_at_saved_pose();
        if self.parameters.config().autostart {
            self.change(&named("configure"), None, true, now);
        }
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.lifecycle.phase()
    }

    /// The counters.
    pub fn health(&self) -> &Health {
        self.core.health()
    }

    /// What is to be done, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What is to be sent, in order.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        self.outgoing.append(&mut self.core.take_outgoing());
        std::mem::take(&mut self.outgoing)
    }

    /// Takes a message or a question that came at `now`.
    pub fn receive(&mut self, incoming: Incoming, now: Stamp) {
        match incoming {
            Incoming::Call(call) => self.serve(call, now),
            incoming => self.effects.extend(self.core.receive(incoming, now).map(Effect::Localize)),
        }
    }

    /// Takes what the network made of an image.
    pub fn finish(&mut self, answer: Answer, now: Stamp) {
        if self.phase() == Phase::Active {
            self.core.finish(answer, now);
        }
    }

    /// Where the network computes, for diagnostics.
    pub fn runs_on(&mut self, device: String) {
        self.core.runs_on(device);
    }

    /// Who knows how many bytes the process holds, for diagnostics.
    pub fn watch_memory(&mut self, resident: fn() -> Option<u64>) {
        self.core.watch_memory(resident);
    }

    /// Over which time the errors of the network's answers are alike, seconds, where that was measured.
    pub fn set_measured_correlation_time(&mut self, measured: Option<f64>) {
        self.core.set_measured_correlation_time(measured);
    }

    /// A newer image took this one's place before the network was free.
    pub fn replaced(&mut self, job: Job) {
        self.core.replaced(job);
    }

    /// A message could not be sent.
    pub fn not_sent(&mut self, error: &Error) {
        self.core.not_sent(error);
    }

    /// A pose could not be written.
    pub fn not_saved(&mut self, error: &Error) {
        self.core.refused(Reason::PoseNotSaved, error);
    }

    /// Time passes; the inputs are connected as `links` says.
    pub fn tick(&mut self, now: Stamp, links: Vec<Link>) {
        self.core.tick(now, links);
        let config = self.parameters.config();
        let rate = config.save_pose_rate;
        let due = rate > 0.0 && self.saved.is_none_or(|saved| now.seconds_since(saved) * rate >= 1.0);
        if due && self.save_pose() {
            self.saved = Some(now);
        }
    }

    /// The time between two calls of [`ManagedNode::tick`].
    pub fn tick_period(&self) -> Duration {
        self.core.tick_period()
    }

    /// Nothing will come any more: the last pose is kept.
    pub fn end(&mut self) {
        self.save_pose();
    }

    /// Takes the result of [`Effect::Load`]: the camera of a model that works, or what is wrong with it.
    ///
    /// # Errors
    /// What is wrong with the model of a node that starts itself: it would wait for ever.
    pub fn loaded(&mut self, result: Result<CameraModel>, now: Stamp) -> Result<Loaded> {
        match self.waiting.take() {
            None => Ok(Loaded::Discard),
            Some(Waiting::Configure { asked, then_activate }) => {
                let taken = result.and_then(|camera| self.core.set_network_camera(camera));
                self.configured(taken, asked, then_activate, now)
            }
            Some(Waiting::Switch { changes, finish }) => {
                let switched = result.map_err(|error| error.to_string()).and_then(|camera| {
                    let before = self.parameters.config().clone();
                    self.set(&changes, now)?;
                    self.core.set_network_camera(camera).map_err(|error| {
                        // Its camera cannot be had from the robot's: all stays as it was.
                        let restored = self.adopt(before, now);
                        restored.err().unwrap_or_else(|| error.to_string())
                    })
                });
                if let Err(reason) = &switched {
                    tracing::error!("the model stays as it is: {reason}");
                    self.core.model_refused(reason.clone());
                }
                let loaded = if switched.is_ok() { Loaded::Use } else { Loaded::Discard };
                finish(result_of(switched));
                Ok(loaded)
            }
        }
    }

    fn configured(
        &mut self,
        taken: Result<()>,
        asked: Option<Responder<ChangeStateResponse>>,
        then_activate: bool,
        now: Stamp,
    ) -> Result<Loaded> {
        let outcome = if taken.is_ok() { Outcome::Success } else { Outcome::Failure };
        let event = self.lifecycle.end(outcome, now);
        self.tell_transition(event);
        self.core.set_phase(self.lifecycle.phase());
        if let Some(asked) = asked {
            asked.respond(ChangeStateResponse { success: taken.is_ok() });
        }
        match taken {
            Ok(()) if then_activate => self.change(&named("activate"), None, false, now),
            Ok(()) => {}
            Err(error) if then_activate => return Err(error),
            Err(error) => {
                tracing::error!("not configured: {error}");
                self.core.model_refused(error.to_string());
                return Ok(Loaded::Discard);
            }
        }
        Ok(Loaded::Use)
    }

    fn serve(&mut self, call: Call, now: Stamp) {
        match call {
            Call::ReinitializeGlobalLocalization(_, responder) => {
                if self.phase() == Phase::Active {
                    tracing::info!("asked to look for the robot anew");
                    self.core.relocalize();
                } else {
                    tracing::warn!("asked to look for the robot anew while {}: nothing done", self.phase().label());
                }
                responder.respond(Empty::default());
            }
            Call::Reset(_, responder) => responder.respond(self.reset()),
            Call::ChangeState(request, responder) => self.change(&request.transition, Some(responder), false, now),
            Call::GetState(_, responder) => {
                responder.respond(GetStateResponse { current_state: self.phase().state() });
            }
            Call::GetAvailableStates(_, responder) => {
                responder.respond(GetAvailableStatesResponse { available_states: Lifecycle::states() });
            }
            Call::GetAvailableTransitions(_, responder) => {
                let available_transitions = self.lifecycle.available();
                responder.respond(GetAvailableTransitionsResponse { available_transitions });
            }
            Call::GetTransitionGraph(_, responder) => {
                responder.respond(GetAvailableTransitionsResponse { available_transitions: Lifecycle::graph() });
            }
            Call::GetParameters(request, responder) => {
                responder.respond(GetParametersResponse { values: self.parameters.get(&request.names) });
            }
            Call::GetParameterTypes(request, responder) => {
                let types = self.parameters.get(&request.names).iter().map(|value| value.kind).collect();
                responder.respond(GetParameterTypesResponse { types });
            }
            Call::ListParameters(request, responder) => {
                let result = self.parameters.list(&request.prefixes, request.depth);
                responder.respond(ListParametersResponse { result });
            }
            Call::DescribeParameters(request, responder) => {
                responder.respond(DescribeParametersResponse { descriptors: self.parameters.describe(&request.names) });
            }
            Call::SetParameters(request, responder) => self.set_each(request.parameters, responder, now),
            Call::SetParametersAtomically(request, responder) => {
                let finish = |result| responder.respond(SetParametersAtomicallyResponse { result });
                self.set_or_switch(request.parameters, Box::new(finish), now);
            }
        }
    }

    fn reset(&mut self) -> TriggerResponse {
        let success = self.phase() == Phase::Active;
        let message = if success {
            self.core.start_anew();
            "everything measured so far is forgotten; the robot is looked for".to_owned()
        } else {
            format!("nothing to reset: the node is {}", self.phase().label())
        };
        TriggerResponse { success, message }
    }

    /// Begins a transition, and ends it where it needs no model.
    fn change(
        &mut self,
        asked: &Transition,
        responder: Option<Responder<ChangeStateResponse>>,
        then_activate: bool,
        now: Stamp,
    ) {
        let began = if self.waiting.is_none() { self.lifecycle.begin(asked, now) } else { None };
        let Some(event) = began else {
            let loads = if self.waiting.is_some() { ", which loads a model" } else { "" };
            let Transition { id, label } = asked;
            tracing::warn!("transition {id} {label:?} cannot begin in {}{loads}", self.phase().label());
            return responder.into_iter().for_each(|asked| asked.respond(ChangeStateResponse { success: false }));
        };
        self.tell_transition(Some(event));
        let phase = match self.phase() {
            Phase::Configuring => {
                self.core.set_phase(Phase::Configuring);
                self.waiting = Some(Waiting::Configure { asked: responder, then_activate });
                return self.effects.push(Effect::Load(Box::new(self.parameters.config().clone())));
            }
            Phase::Activating => Phase::Active,
            Phase::Deactivating => Phase::Inactive,
            Phase::CleaningUp => Phase::Unconfigured,
            _ => Phase::Finalized,
        };
        if phase != Phase::Active {
            self.save_pose();
        }
        if matches!(phase, Phase::Unconfigured | Phase::Finalized) {
            self.effects.push(Effect::Unload);
        }
        self.core.set_phase(phase);
        let event = self.lifecycle.end(Outcome::Success, now);
        self.tell_transition(event);
        responder.into_iter().for_each(|asked| asked.respond(ChangeStateResponse { success: true }));
    }

    /// Sets parameters one by one; the answer waits for a model if one of them asks for another.
    fn set_each(&mut self, changes: Vec<Parameter>, responder: Responder<SetParametersResponse>, now: Stamp) {
        let mut results = Vec::new();
        let mut switch = None;
        for (index, change) in changes.into_iter().enumerate() {
            let change = [change];
            if !self.asks_for_a_model(&change) {
                results.push(result_of(self.set(&change, now)));
            } else if switch.is_none() {
                switch = Some((index, change));
                results.push(SetParametersResult::default());
            } else {
                results.push(result_of(Err("one request can ask for one model".into())));
            }
        }
        match switch {
            None => responder.respond(SetParametersResponse { results }),
            Some((index, change)) => {
                let finish = move |result| {
                    results[index] = result;
                    responder.respond(SetParametersResponse { results });
                };
                self.set_or_switch(change.into(), Box::new(finish), now);
            }
        }
    }

    /// Sets parameters all or none, at once or when the model that they ask for is loaded.
    fn set_or_switch(
        &mut self,
        changes: Vec<Parameter>,
        finish: Box<dyn FnOnce(SetParametersResult) + Send>,
        now: Stamp,
    ) {
        if !self.asks_for_a_model(&changes) {
            return finish(result_of(self.set(&changes, now)));
        }
        if self.waiting.is_some() {
            return finish(result_of(Err("another model is being loaded; ask again when it is done".into())));
        }
        match self.parameters.changed(&changes) {
            Err(reason) => finish(result_of(Err(reason))),
            Ok(config) => {
                self.waiting = Some(Waiting::Switch { changes, finish });
                self.effects.push(Effect::Load(Box::new(config)));
            }
        }
    }

    /// Whether a change names another model than the one that is loaded, or being loaded.
    fn asks_for_a_model(&self, changes: &[Parameter]) -> bool {
        let is_loaded = !matches!(self.phase(), Phase::Unconfigured | Phase::Finalized);
        let known = self.parameters.config().model.to_string_lossy();
        is_loaded && changes.iter().any(|change| change.name == "model" && change.value.string_value != known)
    }

    fn set(&mut self, changes: &[Parameter], now: Stamp) -> Result<(), String> {
        let config = self.parameters.changed(changes)?;
        self.adopt(config, now)
    }

    fn adopt(&mut self, config: Config, now: Stamp) -> Result<(), String> {
        self.core.reconfigure(config.clone()).map_err(|error| error.to_string())?;
        let changed = self.parameters.adopt(config).map_err(|error| error.to_string())?;
        if !changed.is_empty() {
            self.tell_parameters(now, |event| event.changed_parameters = changed);
        }
        Ok(())
    }

    fn tell_parameters(&mut self, now: Stamp, fill: impl FnOnce(&mut ParameterEvent)) {
        let mut event = ParameterEvent { stamp: now.into(), node: self.name.clone(), ..ParameterEvent::default() };
        fill(&mut event);
        self.outgoing.push(Outgoing::Parameters(Box::new(event)));
    }

    fn tell_transition(&mut self, event: Option<TransitionEvent>) {
        if let Some(event) = event {
            tracing::info!("lifecycle: {} -> {}", event.start_state.label, event.goal_state.label);
            self.outgoing.push(Outgoing::Transition(Box::new(event)));
        }
    }

    /// Has the last pose written, where a file is named and there is a pose.
    fn save_pose(&mut self) -> bool {
        let config = self.parameters.config();
        if config.saved_pose_filepath.as_os_str().is_empty() {
            return false;
        }
        let Some(pose) = self.core.last_pose() else { return false };
        self.effects.push(Effect::Save(Box::new(SavedPose::new(config, pose))));
        true
    }

    fn start_at_saved_pose(&mut self) {
        let config = self.parameters.config();
        // What somebody says about this start wins over what is known of the last one.
        if !config.initialize_at_saved_pose || config.set_initial_pose {
            return;
        }
        match SavedPose::read(config) {
            Ok(Some(pose)) => self.core.start_at(pose),
            Ok(None) => tracing::info!("no pose was saved in {} yet", config.saved_pose_filepath.display()),
            Err(error) => self.core.refused(Reason::InitialPoseRefused, &error),
        }
    }
}

fn named(label: &str) -> Transition {
    Transition { id: 0, label: label.into() }
}

fn result_of(result: Result<(), String>) -> SetParametersResult {
    SetParametersResult { successful: result.is_ok(), reason: result.err().unwrap_or_default() }
}
