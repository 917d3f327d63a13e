//! The optimizer: prepares the linear system, hands it to a method, and keeps it for the next time.

use std::time::{Duration, Instant};

use super::linear_system::LinearSystem;
use super::{
    FactorGraph, Method, Report, Settings, StopReason, Values, Variable, dog_leg, gauss_newton, levenberg_marquardt,
};
use crate::Result;

/// Optimizes graphs, one after the other; keeps its buffers and, while the structure stays the same, its ordering and
/// symbolic factorization.
#[derive(Debug, Default)]
pub struct Optimizer {
    /// When to stop, and how to begin.
    pub settings: Settings,
    pub(super) system: Option<LinearSystem>,
    trial: Vec<Variable>,
}

impl Optimizer {
    /// An optimizer with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, system: None, trial: Vec::new() }
    }

    /// Moves the values to a minimum of the graph's cost. They never end at a higher cost than they came with.
    ///
    /// # Errors
    /// When a factor names a variable that is missing or of another kind, variables are tied to nothing, or the cost
    /// at the start is not finite. A search that fails is no error but a [`StopReason`].
    pub fn optimize(&mut self, graph: &FactorGraph, values: &mut Values) -> Result<Report> {
        let begin = Instant::now();
        let system = prepare(&mut self.system, graph, values)?;
        let mut run = Run {
            graph,
            settings: &self.settings,
            system,
            values,
            trial: &mut self.trial,
            error: 0.0,
            report: Report {
                initial_error: 0.0,
                final_error: 0.0,
                iterations: 0,
                factorizations: 0,
                stop: StopReason::NothingToOptimize,
                structure_time: begin.elapsed(),
                linearize_time: Duration::ZERO,
                factorize_time: Duration::ZERO,
                solve_time: Duration::ZERO,
                error_time: Duration::ZERO,
            },
        };
        run.linearize()?;
        run.report.initial_error = run.error;
        run.report.stop = match run.settings.method {
            _ if run.system.gradient.is_empty() => StopReason::NothingToOptimize,
            Method::LevenbergMarquardt => levenberg_marquardt::run(&mut run)?,
            Method::GaussNewton => gauss_newton::run(&mut run)?,
            Method::DogLeg => dog_leg::run(&mut run)?,
        };
        run.report.final_error = run.error;
        Ok(run.report)
    }
}

/// The system of a graph: the one that is there, made to fit, or a new one.
///
/// # Errors
/// As [`LinearSystem::new`]; nothing is kept then.
pub(super) fn prepare<'a>(
    kept: &'a mut Option<LinearSystem>,
    graph: &FactorGraph,
    values: &Values,
) -> Result<&'a mut LinearSystem> {
    let system = match kept.take() {
        Some(mut system) => {
            system.prepare(graph, values)?;
            system
        }
        None => LinearSystem::new(graph, values)?,
    };
    Ok(kept.insert(system))
}

/// One optimization under way: the steps that the methods share, each with its time.
pub(super) struct Run<'a> {
    graph: &'a FactorGraph,
    pub settings: &'a Settings,
    pub system: &'a mut LinearSystem,
    values: &'a mut Values,
    trial: &'a mut Vec<Variable>,
    /// The cost at the present values.
    pub error: f64,
    pub report: Report,
}

impl Run<'_> {
    /// Assembles the normal equations at the present values.
    pub fn linearize(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.error = self.system.linearize(self.graph, self.values.variables())?;
        self.report.linearize_time += begin.elapsed();
        Ok(())
    }

    /// Assembles the gradient alone; the factorization stays that of earlier values.
    pub fn linearize_gradient(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.error = self.system.linearize_gradient(self.graph, self.values.variables())?;
        self.report.linearize_time += begin.elapsed();
        Ok(())
    }

    /// Factorizes the damped normal matrix, or says which variable made that impossible.
    pub fn factorize(&mut self, damping: impl Fn(f64) -> f64) -> std::result::Result<(), StopReason> {
        let begin = Instant::now();
        let result = self.system.factorize(damping);
        self.report.factorizations += 1;
        self.report.factorize_time += begin.elapsed();
        result.map_err(|slot| StopReason::Indeterminate(self.values.keys()[slot]))
    }

    /// Solves for the step of the factorized system.
    pub fn solve(&mut self) {
        let begin = Instant::now();
        self.system.solve();
        self.report.solve_time += begin.elapsed();
    }

    /// The cost after the system's step, which [`Run::accept`] would take; infinite where it is not a number.
    pub fn error_after_step(&mut self) -> Result<f64> {
        let begin = Instant::now();
        self.system.retract(self.values.variables(), self.trial);
        let error = self.system.cost(self.graph, self.trial)?;
        self.report.error_time += begin.elapsed();
        Ok(if error.is_nan() { f64::INFINITY } else { error })
    }

    /// Takes the step that was tried last.
    pub fn accept(&mut self, error: f64) {
        self.values.variables_mut().copy_from_slice(self.trial);
        self.error = error;
    }

    /// How far the linearized cost falls with the system's step, factorized without damping: `-δᵀg - ½ δᵀHδ`.
    pub fn predicted_decrease(&self) -> f64 {
        let slope: f64 = self.system.step.iter().zip(&self.system.gradient).map(|(a, b)| a * b).sum();
        -slope - 0.5 * self.system.curvature(&self.system.step)
    }

    /// Whether a step that promises this decrease, and did not keep it, is one whose gain rounding hides.
    pub fn cannot_gain(&self, predicted: f64) -> bool {
        predicted <= self.settings.absolute_error_decrease.max(self.settings.relative_error_decrease * self.error)
    }

    /// Whether the gradient says that there is nothing to gain.
    pub fn has_flat_gradient(&self) -> bool {
        largest(&self.system.gradient) <= self.settings.gradient
    }

    /// Why to stop after a step that lowered the error from `before` to the present one, if so.
    pub fn reason_to_stop(&self, before: f64) -> Option<StopReason> {
        let decrease = before - self.error;
        if decrease <= self.settings.absolute_error_decrease {
            Some(StopReason::AbsoluteErrorDecrease)
        } else if decrease <= self.settings.relative_error_decrease * before {
            Some(StopReason::RelativeErrorDecrease)
        } else if largest(&self.system.step) <= self.settings.step {
            Some(StopReason::Step)
        } else {
            None
        }
    }
}

fn largest(entries: &[f64]) -> f64 {
    entries.iter().fold(0.0, |largest, entry| entry.abs().max(largest))
}
