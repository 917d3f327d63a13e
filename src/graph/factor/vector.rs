//! Measurements of vectors: a velocity, IMU biases and their random walk.

use nalgebra::{SMatrix, SVector};

use super::{Arguments, Factor, write_block};
use crate::graph::{Gaussian, Key, RobustKernel, VariableKind};
use crate::{Error, Result};

/// `r = x - measured` for a vector of 3 (a velocity) or 6 entries (biases).
#[derive(Clone, Debug)]
pub struct VectorPriorFactor<const N: usize> {
    key: [Key; 1],
    measured: SVector<f64, N>,
    noise: Gaussian<N>,
    robust: Option<RobustKernel>,
}

impl<const N: usize> VectorPriorFactor<N> {
    /// The factor of a measured vector.
    ///
    /// # Errors
    /// When the key does not stand for a vector of `N` entries, or the measurement is not finite.
    pub fn new(key: Key, measured: SVector<f64, N>, noise: Gaussian<N>) -> Result<Self> {
        Ok(Self { key: [vector_key::<N>(key)?], measured: finite(measured)?, noise, robust: None })
    }

    /// The same factor under a robust kernel.
    pub fn with_robust(self, kernel: RobustKernel) -> Self {
        Self { robust: Some(kernel), ..self }
    }
}

impl<const N: usize> Factor for VectorPriorFactor<N> {
    fn keys(&self) -> &[Key] {
        &self.key
    }

    fn dim(&self) -> usize {
        N
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let error = at.vector::<N>(0)? - self.measured;
        residual.copy_from_slice(self.noise.whiten(&error).as_slice());
        if let Some(jacobian) = jacobian {
            write_block(jacobian, 0, self.noise.sqrt_information());
        }
        Ok(())
    }

    fn robust(&self) -> Option<RobustKernel> {
        self.robust
    }
}

/// `r = b - a - measured` for two vectors of 3 or 6 entries: the random walk of biases (`measured = 0`), or a change of
/// velocity.
#[derive(Clone, Debug)]
pub struct VectorBetweenFactor<const N: usize> {
    keys: [Key; 2],
    measured: SVector<f64, N>,
    noise: Gaussian<N>,
    robust: Option<RobustKernel>,
}

impl<const N: usize> VectorBetweenFactor<N> {
    /// The factor of a measured difference `to - from`.
    ///
    /// # Errors
    /// When a key does not stand for a vector of `N` entries, the keys are the same, or the measurement is not finite.
    pub fn new(from: Key, to: Key, measured: SVector<f64, N>, noise: Gaussian<N>) -> Result<Self> {
        let keys = [vector_key::<N>(from)?, vector_key::<N>(to)?];
        if from == to {
            return Err(Error::message("factor between two vectors", "two different keys", format!("{from} twice")));
        }
        Ok(Self { keys, measured: finite(measured)?, noise, robust: None })
    }

    /// The same factor under a robust kernel.
    pub fn with_robust(self, kernel: RobustKernel) -> Self {
        Self { robust: Some(kernel), ..self }
    }
}

impl<const N: usize> Factor for VectorBetweenFactor<N> {
    fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn dim(&self) -> usize {
        N
    }

    fn evaluate(&self, at: &Arguments<'_>, residual: &mut [f64], jacobian: Option<&mut [f64]>) -> Result<()> {
        let error = at.vector::<N>(1)? - at.vector::<N>(0)? - self.measured;
        residual.copy_from_slice(self.noise.whiten(&error).as_slice());
        if let Some(jacobian) = jacobian {
            let by_second: &SMatrix<f64, N, N> = self.noise.sqrt_information();
            write_block(jacobian, 0, &-by_second);
            write_block(jacobian, N, by_second);
        }
        Ok(())
    }

    fn robust(&self) -> Option<RobustKernel> {
        self.robust
    }
}

fn vector_key<const N: usize>(key: Key) -> Result<Key> {
    let fits = (N == 3 && key.takes(VariableKind::Vector3)) || (N == 6 && key.takes(VariableKind::Vector6));
    if fits {
        Ok(key)
    } else {
        Err(Error::message("factor on a vector", format!("a key of a vector of {N}"), key.to_string()))
    }
}

fn finite<const N: usize>(measured: SVector<f64, N>) -> Result<SVector<f64, N>> {
    if measured.iter().all(|entry| entry.is_finite()) {
        Ok(measured)
    } else {
        Err(Error::message("measured vector", "finite numbers", format!("{:?}", measured.as_slice())))
    }
}
