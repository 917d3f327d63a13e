//! Which method, when to stop, and how to begin.

/// How a step is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Levenberg-Marquardt: Gauss-Newton with damping that follows how well the last step did what was predicted.
    #[default]
    LevenbergMarquardt,
    /// Gauss-Newton: the full step, always.
    GaussNewton,
    /// Powell's dog-leg: the Gauss-Newton step where it fits into a trust region, else a mixture with steepest descent.
    DogLeg,
}

/// When to stop, and how to begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How a step is found.
    pub method: Method,
    /// Most linearizations.
    pub max_iterations: usize,
    /// Stop when a step lowers the error by less than this share of it.
    pub relative_error_decrease: f64,
    /// Stop when a step lowers the error by less than this.
    pub absolute_error_decrease: f64,
    /// Stop when no entry of the gradient is larger.
    pub gradient: f64,
    /// Stop when no entry of a step is larger (m, rad, m/s, ...).
    pub step: f64,
    /// Levenberg-Marquardt: damping of the first step, as a share of the diagonal of the normal matrix.
    pub initial_lambda: f64,
    /// Levenberg-Marquardt: near the minimum, go on with the factorization that is there while that works.
    pub reuse_factorization: bool,
    /// Levenberg-Marquardt: give up when no step with less damping lowers the error.
    pub max_lambda: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: Method::default(),
            max_iterations: 100,
            relative_error_decrease: 1e-9,
            absolute_error_decrease: 1e-12,
            gradient: 1e-12,
            step: 1e-12,
            initial_lambda: 1e-8,
            reuse_factorization: true,
            max_lambda: 1e8,
        }
    }
}
