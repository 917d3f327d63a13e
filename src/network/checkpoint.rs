//! Weights on disk: `safetensors`, a header of names, shapes and offsets in front of plain numbers. No pickle, no code.
//!
//! Names are the module paths of [`PoseNetwork`](super::PoseNetwork); a file fits when it has every name with its shape and
//! no other. Half precision halves the file and is read back to single.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::device::guarded;
use crate::{Error, Result};

/// How weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 16 bits: for models that are only used.
    Half,
    /// 32 bits: for models whose training goes on.
    #[default]
    Single,
}

/// Bytes that a file may have beyond the numbers that are expected in it: its header.
const HEADER_ALLOWANCE: u64 = 16 << 20;
/// Names listed in an error before it says how many more there are.
const LISTED: usize = 5;

/// Writes every variable of the store, and returns the SHA-256 of the file in hexadecimal.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn save(store: &VarStore, path: &Path, precision: Precision) -> Result<String> {
    write_tensors(&store.variables().into_iter().collect(), path, precision)
}

/// Reads the variables of the store from `path`.
///
/// # Errors
/// [`Error::Io`] when unreadable; [`Error::Model`] when it is cut, not a safetensors file, has numbers that are not
/// finite, or does not fit: with the names that are missing and unexpected, and the shapes expected and found.
pub fn load(store: &VarStore, path: &Path) -> Result<()> {
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let bytes: u64 = variables.values().map(|variable| 4 * variable.numel() as u64).sum();
    let stored = read_tensors(path, bytes)?;
    let problems = differences(&variables, &stored);
    if !problems.is_empty() {
        let expected = "the weights of the architecture in model.yaml";
        return Err(Error::model(
            path,
            expected,
            format!("{}; use the model.yaml written with it", problems.join("; ")),
        ));
    }
    for (name, mut variable) in variables {
        assign(&mut variable, &stored[&name]);
    }
    Ok(())
}

/// The same of a file that must have the SHA-256 that its card says.
///
/// # Errors
/// As [`load`]; [`Error::Model`] when it is another file than the card was written with.
pub fn load_verified(store: &VarStore, path: &Path, sha256: &str) -> Result<()> {
    guarded("loading the weights", || load(store, path))??;
    let found = self::sha256(path)?;
    match found == sha256 {
        true => Ok(()),
        false => {
            let expected = format!("SHA-256 {sha256} as in model.yaml");
            Err(Error::model(path, expected, format!("{found}; keep the two files of one training together")))
        }
    }
}

/// What [`load_pretrained`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PretrainedReport {
    /// Variables that were set, sorted.
    pub loaded: Vec<String>,
    /// Variables that keep their random start, sorted: the heads, and stages of another shape.
    pub left: Vec<String>,
}

/// The tensors of a file that a card speaks of beside the weights; `what` they are.
///
/// # Errors
/// [`Error::Model`] when it is missing, larger than `max_bytes`, no safetensors, or not the file of the card.
pub(super) fn read_of_card(
    path: &Path,
    what: &str,
    expected_sha256: &str,
    max_bytes: u64,
) -> Result<HashMap<String, Tensor>> {
    if !path.is_file() {
        return Err(Error::model(path, what, "no such file; copy it from where the model was trained"));
    }
    let tensors = read_tensors(path, max_bytes)?;
    let found = sha256(path)?;
    if found != expected_sha256 {
        let found = format!("{found}; keep the files of one training together");
        return Err(Error::model(path, format!("SHA-256 {expected_sha256} as in model.yaml"), found));
    }
    Ok(tensors)
}

/// Sets what it can from weights under torchvision's names (`layer3.0.conv1.weight`, `features.0.weight`): each
/// variable whose path behind `trunk.`, `global.` or `odometry.` is in the file with the same shape.
///
/// # Errors
/// As [`load`], except that a file fits when it sets every variable of the shared trunk.
pub fn load_pretrained(store: &VarStore, path: &Path) -> Result<PretrainedReport> {
    // The classifier that such files carry is about as large as the rest.
    let stored = read_tensors(path, 1 << 30)?;
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let mut report = PretrainedReport { loaded: Vec::new(), left: Vec::new() };
    for (name, mut variable) in variables {
        let (stream, torchvision_name) = name.split_once('.').unwrap_or(("", &name));
        match stored.get(torchvision_name) {
            Some(tensor) if tensor.size() == variable.size() => {
                assign(&mut variable, tensor);
                report.loaded.push(name);
            }
            found if stream == "trunk" => {
                let found = found.map_or("no such name".to_owned(), |tensor| format!("{:?}", tensor.size()));
                let expected = format!("{torchvision_name} of shape {:?}, for this trunk", variable.size());
                return Err(Error::model(path, expected, format!("{found}; use the weights of this architecture")));
            }
            _ => report.left.push(name),
        }
    }
    Ok(report)
}

/// Writes named tensors, those of half precision as they are, and returns the SHA-256 of the file in hexadecimal. The file is complete or not there: it is
/// written beside and then renamed.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write_tensors(tensors: &BTreeMap<String, Tensor>, path: &Path, precision: Precision) -> Result<String> {
    let stored: Vec<(&String, Vec<usize>, Dtype, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let (kind, dtype) = match (tensor.kind(), precision) {
                (Kind::Int64, _) => (Kind::Int64, Dtype::I64),
                (Kind::Half, _) | (_, Precision::Half) => (Kind::Half, Dtype::F16),
                (_, Precision::Single) => (Kind::Float, Dtype::F32),
            };
            let shape = tensor.size().into_iter().map(|size| size as usize).collect();
            (name, shape, dtype, bytes_of(&tensor.detach().to_device(Device::Cpu).to_kind(kind).contiguous()))
        })
        .collect();
    let views = stored.iter().map(|(name, shape, dtype, bytes)| {
        TensorView::new(*dtype, shape.clone(), bytes)
            .map(|view| (name.as_str(), view))
            .map_err(|error| Error::compute(format!("storing {name}"), error))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, None).map_err(|error| Error::compute("storing tensors", error))?;
    let partial = path.with_extension("partial");
    fs::write(&partial, &bytes).map_err(Error::io("write", &partial))?;
    fs::rename(&partial, path).map_err(Error::io("create", path))?;
    Ok(hexadecimal(&Sha256::digest(&bytes)))
}

/// Reads all tensors of a file as they are stored: floating-point numbers as single precision, integers as 64 bits.
/// The file may have `max_bytes` of numbers.
///
/// # Errors
/// [`Error::Io`] when unreadable; [`Error::Model`] when it is larger, cut, not a safetensors file, of another type of
/// numbers, or has some that are not finite.
pub fn read_tensors(path: &Path, max_bytes: u64) -> Result<HashMap<String, Tensor>> {
    let length = fs::metadata(path).map_err(Error::io("read", path))?.len();
    if length > max_bytes + HEADER_ALLOWANCE {
        let expected = format!("at most {} MiB of weights", (max_bytes + HEADER_ALLOWANCE) >> 20);
        return Err(Error::model(path, expected, format!("a file of {} MiB", length >> 20)));
    }
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let broken = |error: safetensors::SafeTensorError| {
        let found = format!("{length} bytes that are cut or something else ({error}); copy or download the file again");
        Error::model(path, "a complete safetensors file", found)
    };
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    file.iter().map(|(name, view)| Ok((name.to_owned(), tensor_of(path, name, &view)?))).collect()
}

/// The SHA-256 of a file in hexadecimal.
///
/// # Errors
/// [`Error::Io`] when unreadable.
pub fn sha256(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = fs::File::open(path).map_err(Error::io("read", path))?;
    std::io::copy(&mut file, &mut hasher).map_err(Error::io("read", path))?;
    Ok(hexadecimal(&hasher.finalize()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

fn tensor_of(path: &Path, name: &str, view: &TensorView) -> Result<Tensor> {
    let (kind, target) = match view.dtype() {
        Dtype::F16 => (Kind::Half, Kind::Float),
        Dtype::BF16 => (Kind::BFloat16, Kind::Float),
        Dtype::F32 => (Kind::Float, Kind::Float),
        Dtype::F64 => (Kind::Double, Kind::Float),
        Dtype::I64 => (Kind::Int64, Kind::Int64),
        other => return Err(Error::model(path, format!("{name} as f16, bf16, f32, f64 or i64"), format!("{other:?}"))),
    };
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
        .map_err(|error| Error::compute(format!("reading {name}"), error))?
        .to_kind(target);
    if tensor.numel() > 0 && tensor.isfinite().all().int64_value(&[]) == 0 {
        return Err(Error::model(path, format!("finite numbers in {name}"), "NaN or infinity; train again"));
    }
    Ok(tensor)
}

fn assign(variable: &mut Tensor, value: &Tensor) {
    tch::no_grad(|| variable.copy_(&value.to_device(variable.device())));
}

/// What differs between the variables and the file, one text per kind of difference.
fn differences(variables: &BTreeMap<String, Tensor>, stored: &HashMap<String, Tensor>) -> Vec<String> {
    let mut missing = Vec::new();
    let mut shapes = Vec::new();
    for (name, variable) in variables {
        match stored.get(name) {
            None => missing.push(name.clone()),
            Some(tensor) if tensor.size() != variable.size() => {
                shapes.push(format!("{name} expected {:?} found {:?}", variable.size(), tensor.size()));
            }
            Some(_) => {}
        }
    }
    let mut unexpected: Vec<String> = stored.keys().filter(|name| !variables.contains_key(*name)).cloned().collect();
    unexpected.sort();
    [("missing", missing), ("unexpected", unexpected), ("other shapes", shapes)]
        .into_iter()
        .filter(|(_, items)| !items.is_empty())
        .map(|(what, items)| {
            let more = items.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{what}: {}{more}", items[..items.len().min(LISTED)].join(", "))
        })
        .collect()
}
