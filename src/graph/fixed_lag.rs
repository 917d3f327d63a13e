//! The sliding window: the latest part of a graph, optimized again and again, and a prior in place of what has left it.
//!
//! 1. [`FixedLag::insert`] new variables with a first guess and [`FixedLag::add`] the factors that came with them.
//! 2. [`FixedLag::update`] optimizes from where the last one ended: one to three iterations.
//! 3. [`FixedLag::marginal_covariance`] says how sure the estimate is.
//! 4. [`FixedLag::marginalize`] the variables that are too old.
//!
//! Marginalization linearizes for good. With first-estimate Jacobians (see [`FixedLag::with_first_estimates`]) variables
//! that a prior names are linearized where the prior was made, in all factors, so that the window does not gain
//! information that nobody measured (Huang, Mourikis and Roumeliotis 2009; Dong-Si and Mourikis 2012).
//!
//! Whatever fails leaves the window as it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use nalgebra::DMatrix;

use super::archive::Archive;
use super::factor::linearize_factor;
use super::leaving::prior_of_leaving;
use super::{Factor, FactorGraph, Key, Optimizer, Report, Settings, StopReason, Values, Variable};
use crate::{Error, Result};

/// The name of a factor in a [`FixedLag`], never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactorId(u64);

/// A sliding window of variables and factors.
#[derive(Debug)]
pub struct FixedLag {
    graph: FactorGraph,
    /// The names of the graph's factors, ascending as these are.
    ids: Vec<FactorId>,
    next_id: u64,
    values: Values,
    /// For updates.
    optimizer: Optimizer,
    /// For covariances, which may be of another structure, after a marginalization: each keeps its own.
    covariances: Optimizer,
    /// Whether the factorization for covariances is that of the present graph and values.
    factorized: bool,
    first_estimates: bool,
    /// The factors that stand for what has left.
    priors: BTreeSet<FactorId>,
    archive: Option<Archive>,
}

impl FixedLag {
    /// An empty window with these settings for its updates.
    ///
    /// `settings.initial_lambda` is not used: the first step of an update is Gauss-Newton's, since it starts near its end
    /// and has to find out whether the factors determine all variables.
    pub fn new(settings: Settings) -> Self {
        Self {
            graph: FactorGraph::new(),
            ids: Vec::new(),
            next_id: 0,
            values: Values::new(),
            optimizer: Optimizer::new(Settings { initial_lambda: 0.0, ..settings }),
            covariances: Optimizer::default(),
            factorized: false,
            first_estimates: true,
            priors: BTreeSet::new(),
            archive: None,
        }
    }

    /// The same window with or without first-estimate Jacobians for variables that a marginalization prior names; a new
    /// one has them.
    pub fn with_first_estimates(self, first_estimates: bool) -> Self {
        Self { first_estimates, ..self }
    }

    /// The same window with an archive of what leaves it from now on, for [`FixedLag::whole`]. It grows with all that is
    /// marginalized; a key that is in it cannot be used again.
    pub fn with_archive(self) -> Self {
        Self { archive: Some(Archive::default()), ..self }
    }

    /// Adds a variable with its first guess; factors on it have to follow before the next update.
    ///
    /// # Errors
    /// When the key is taken, does not stand for this kind of variable, or a number is not finite; with an archive also
    /// when a variable of this name is in it.
    pub fn insert(&mut self, key: Key, variable: Variable) -> Result<()> {
        if self.archive.as_ref().is_some_and(|archive| archive.contains(key)) {
            return Err(Error::message(format!("variable {key}"), "a new key", "one that is in the archive"));
        }
        self.values.insert(key, variable)?;
        self.factorized = false;
        Ok(())
    }

    /// Adds a factor on variables of the window.
    ///
    /// # Errors
    /// When it names a variable that is not there, is of another kind or is named twice, or when its residual or
    /// Jacobian at the present estimate is not finite.
    pub fn add(&mut self, factor: Box<dyn Factor>) -> Result<FactorId> {
        let (residual, jacobian) = linearize_factor(factor.as_ref(), &self.values)?;
        if !residual.iter().chain(&jacobian).all(|entry| entry.is_finite()) {
            let found = format!("the residual {residual:?} of {factor:?}");
            return Err(Error::message("factor", "a finite residual and Jacobian", found));
        }
        let keys = factor.keys();
        if let Some(key) = keys.iter().enumerate().find_map(|(place, key)| keys[..place].contains(key).then_some(key)) {
            return Err(Error::message("factor", "different keys", format!("{key} twice in {factor:?}")));
        }
        Ok(self.push(factor.into()))
    }

    fn push(&mut self, factor: Arc<dyn Factor>) -> FactorId {
        let id = FactorId(self.next_id);
        self.next_id += 1;
        self.ids.push(id);
        self.graph.add_shared(factor);
        self.factorized = false;
        id
    }

    /// Takes a factor out; `None` when it was taken out before or has gone into a prior.
    pub fn remove(&mut self, id: FactorId) -> Option<Arc<dyn Factor>> {
        let position = self.ids.binary_search(&id).ok()?;
        self.factorized = false;
        self.ids.remove(position);
        Some(self.graph.remove(position))
    }

    /// Optimizes the window from its present estimate, with so many linearizations at most. Ordering and symbolic
    /// factorization are those of the last update if the structure is the same but for the names: a window that slides
    /// evenly keeps them for good.
    ///
    /// # Errors
    /// When the factors do not determine a variable or the cost is not finite; the estimate stays as it was. A search
    /// that stops early is no error but a [`StopReason`].
    pub fn update(&mut self, max_iterations: usize) -> Result<Report> {
        self.optimizer.settings.max_iterations = max_iterations;
        let mut values = self.values.clone();
        let report = self.optimizer.optimize(&self.graph, &mut values)?;
        if let StopReason::Indeterminate(key) = report.stop {
            return Err(indeterminate(key));
        }
        self.values = values;
        self.factorized = false;
        Ok(report)
    }

    /// Takes variables out and leaves, in place of all factors on them, what these say about the other variables they
    /// name: one [`super::LinearPrior`], linearized at the present estimate (or at the first one). Robust factors enter with
    /// their present weights, which the prior keeps.
    ///
    /// What the factors do not determine, of those that leave or of those that stay, is no error here: the prior says
    /// nothing about it.
    ///
    /// # Errors
    /// When a variable is not there, or a residual or Jacobian is not finite.
    pub fn marginalize(&mut self, keys: &[Key]) -> Result<()> {
        self.marginalize_fading(keys, 1.0)
    }

    /// As [`FixedLag::marginalize`], with a prior that carries only this share of the information: what was measured
    /// long ago counts less than it would if the errors since were independent of it. At zero it leaves none.
    ///
    /// # Errors
    /// As [`FixedLag::marginalize`], and when the share is not in `[0, 1]`.
    pub fn marginalize_fading(&mut self, keys: &[Key], share: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::message("share of information", "a number from 0 to 1", share.to_string()));
        }
        let leaving: BTreeSet<Key> = keys.iter().copied().collect();
        leaving.iter().try_for_each(|key| self.values.slot(*key).map(|_| ()))?;
        let touched: Vec<usize> = (0..self.ids.len())
            .filter(|position| self.graph.factors()[*position].keys().iter().any(|key| leaving.contains(key)))
            .collect();
        let prior = prior_of_leaving(&self.graph, &self.values, &leaving, &touched)?;

        for position in touched.iter().rev() {
            let (factor, id) = (self.graph.remove(*position), self.ids.remove(*position));
            let was_measured = !self.priors.remove(&id);
            if let Some(archive) = self.archive.as_mut().filter(|_| was_measured) {
                archive.keep_factor(factor);
            }
        }
        for key in &leaving {
            self.graph.linearize_at_estimate(*key);
            if let (Some(variable), Some(archive)) = (self.values.remove(*key), &mut self.archive) {
                archive.keep_variable(*key, variable);
            }
        }
        if let Some(prior) = prior.filter(|_| share > 0.0) {
            if self.first_estimates {
                let points = prior.keys().iter().zip(prior.points());
                points.for_each(|(key, point)| self.graph.linearize_at(*key, *point));
            }
            let id = self.push(Arc::new(prior.fading(share)));
            self.priors.insert(id);
        }
        self.factorized = false;
        Ok(())
    }

    /// The estimates of the window's variables.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The window's factors, priors among them.
    pub fn graph(&self) -> &FactorGraph {
        &self.graph
    }

    /// Everything that was measured: the archive's factors and those of the window, without the priors in place of what
    /// has left it, faded or not. Variables come with the estimates they left with, or their present ones: a start for an
    /// [`Optimizer`], which linearizes all of them anew. Factors that were taken out with [`FixedLag::remove`] are not in
    /// it.
    ///
    /// # Errors
    /// When the window keeps no archive.
    pub fn whole(&self) -> Result<(FactorGraph, Values)> {
        let Some(archive) = &self.archive else {
            return Err(Error::message("fixed-lag window", "an archive, as FixedLag::with_archive makes", "none"));
        };
        let named = self.ids.iter().zip(self.graph.factors());
        archive.with(named.filter(|(id, _)| !self.priors.contains(id)).map(|(_, factor)| factor), &self.values)
    }

    /// The joint covariance of variables, in the order given, at the present estimate: exact for the window linearized
    /// there. Tangents as in [`Variable::retract`].
    ///
    /// # Errors
    /// When a variable is not there or stands twice, or the factors do not determine one of the window.
    pub fn marginal_covariance(&mut self, keys: &[Key]) -> Result<DMatrix<f64>> {
        let repeated = (0..keys.len()).find(|place| keys[..*place].contains(&keys[*place]));
        if let Some(place) = repeated {
            return Err(Error::message("joint covariance", "different keys", format!("{} twice", keys[place])));
        }
        match self.covariances.last_marginals(&self.values).filter(|_| self.factorized) {
            Some(marginals) => marginals.joint(keys),
            None => {
                let marginals = self.covariances.marginals(&self.graph, &self.values)?;
                self.factorized = true;
                marginals.joint(keys)
            }
        }
    }

    /// Takes everything out, of the archive too.
    pub fn clear(&mut self) {
        self.graph = FactorGraph::new();
        self.values = Values::new();
        self.ids.clear();
        self.priors.clear();
        self.archive = self.archive.take().map(|_| Archive::default());
        self.factorized = false;
    }
}

fn indeterminate(key: Key) -> Error {
    let reason = format!("the factors do not determine the variable {key}: add a prior on what it depends on");
    Error::compute("fixed-lag window", reason)
}
