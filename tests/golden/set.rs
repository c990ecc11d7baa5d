//! A golden set: its manifest, its tensors, and comparisons under its tolerances.

use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::recipe::device;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A tensor of a file, as f64.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

type File = Rc<BTreeMap<String, Array>>;

/// Manifests: of the method's own set, and of the peers' public code.
const MANIFESTS: [&str; 2] = ["golden.json", "manifest.json"];

pub struct Set {
    pub folder: PathBuf,
    /// Checksum of the manifest.
    pub checksum: String,
    pub cases: Vec<Value>,
    pub device: Device,
    files: RefCell<BTreeMap<String, File>>,
}

impl Array {
    pub fn labels(&self) -> Vec<usize> {
        self.values.iter().map(|value| *value as usize).collect()
    }

    pub fn f32(&self) -> Vec<f32> {
        self.values.iter().map(|value| *value as f32).collect()
    }

    pub fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.f32(), self.shape.clone()), device)
    }
}

/// The values of a tensor in row-major order.
pub fn list<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

impl Set {
    /// The sets of `folder`: those of its manifests, and those of the folders below it.
    pub fn all(folder: &Path, device: &str) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut folders: Vec<PathBuf> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        let manifests = MANIFESTS.map(|name| folder.join(name)).into_iter().filter(|manifest| manifest.is_file());
        let own = manifests.map(|manifest| Self::open(&manifest, device)).collect::<Vec<_>>();
        own.into_iter().chain(folders.iter().flat_map(|folder| Self::all(folder, device))).collect()
    }

    fn open(manifest: &Path, device: &str) -> Self {
        let folder = manifest.parent().unwrap();
        let text = std::fs::read(manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
        let manifest: Value = serde_json::from_slice(&text).unwrap();
        let device = device::parse(device).unwrap_or_else(|(message, help)| panic!("{message}; {help}"));
        let cases = manifest["cases"].as_array().unwrap().clone();
        let checksum = maclip_framework::files::sha256(&text);
        let mut set = Self { folder: folder.to_owned(), checksum, cases, device, files: RefCell::default() };
        // The cases of other sets say their kind themselves.
        let own_kinds = set.cases.iter().all(|case| case.get("kind").is_some());
        if let Some(method) = manifest["method"].as_str().filter(|_| !own_kinds) {
            set.cases = set.cases.iter().map(|case| set.of_method(method, case)).collect();
        }
        set
    }

    /// A case of published code, which names its method once for the whole manifest and its tensors by what they are,
    /// in the form of the other sets: `kind`, `inputs` and rules for `expected`.
    fn of_method(&self, method: &str, case: &Value) -> Value {
        let mut case = case.clone();
        case["kind"] = method.into();
        case["id"] = format!("{method}.{}", case["id"].as_str().unwrap()).into();
        let tensors = self.tensors(case["file"].as_str().unwrap());
        let inputs = tensors.keys().filter_map(|name| Some((name.strip_prefix("inputs.")?.to_owned(), json!(name))));
        case["inputs"] = Value::Object(inputs.collect());
        let rule = |(name, atol): (&String, &Value)| {
            let exact = atol.as_f64() == Some(0.0);
            (name.clone(), json!({"tensor": format!("expected.{name}"), "atol": atol, "exact": exact}))
        };
        case["expected"] = Value::Object(case["expected"].as_object().unwrap().iter().map(rule).collect());
        case
    }

    pub fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.join(file)).unwrap()).unwrap()
    }

    pub fn tensors(&self, file: &str) -> File {
        if let Some(file) = self.files.borrow().get(file) {
            return Rc::clone(file);
        }
        let bytes = std::fs::read(self.folder.join(file)).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        let arrays = read.tensors().into_iter().map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
                Dtype::F64 => data.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
                Dtype::I64 => data.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
                Dtype::U8 => data.iter().map(|&b| b.into()).collect(),
                other => panic!("{name} is {other:?}"),
            };
            (name, Array { shape: view.shape().to_vec(), values })
        });
        let arrays = Rc::new(arrays.collect());
        self.files.borrow_mut().insert(file.to_owned(), Rc::clone(&arrays));
        arrays
    }

    /// Heads of the image and the text tower: the clip cases state them for the whole set.
    pub fn heads(&self) -> (u64, u64) {
        let case = self.cases.iter().find(|case| case["kind"] == "clip").expect("a clip case states the heads");
        let heads = |name: &str| case["params"][name].as_u64().unwrap();
        (heads("vision_heads"), heads("text_heads"))
    }
}

/// What float64 computed where the value is zero in theory.
const ZERO: f64 = 1e-9;

/// Compares what a case expects with what maclip gives.
pub struct Check<'a> {
    pub set: &'a Set,
    pub case: &'a Value,
    pub compared: usize,
    /// Largest error in units of what is allowed.
    pub worst: f64,
    pub problems: Vec<String>,
    /// Names and values that were compared, for [`Check::digest`].
    digest: Vec<(String, Vec<f64>)>,
}

impl<'a> Check<'a> {
    pub fn new(set: &'a Set, case: &'a Value) -> Self {
        Self { set, case, compared: 0, worst: 0.0, problems: Vec::new(), digest: Vec::new() }
    }

    /// One line for each value that was compared, with a checksum of its bits: two versions of the program that compute
    /// the same print the same lines.
    pub fn digest(&self) -> String {
        let id = self.case["id"].as_str().unwrap();
        let line = |(name, values): &(String, Vec<f64>)| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            format!("{id} {name} {:08x} {}\n", crc32fast::hash(&bytes), values.len())
        };
        self.digest.iter().map(line).collect()
    }

    pub fn fail(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    fn array(&self, reference: &Value) -> Array {
        let name = reference.as_str().or(reference["tensor"].as_str()).unwrap();
        let file = reference["file"].as_str().or(self.case["file"].as_str()).unwrap();
        let mut array = self.set.tensors(file).get(name).unwrap_or_else(|| panic!("{file} has no {name}")).clone();
        if let Some(first) = reference["first"].as_u64() {
            let row: usize = array.shape[1..].iter().product();
            array.shape[0] = first as usize;
            array.values.truncate(first as usize * row);
        }
        array
    }

    pub fn input(&self, name: &str) -> Array {
        self.array(&self.case["inputs"][name])
    }

    /// 8-bit clips as pixels.
    pub fn clips(&self, name: &str) -> Tensor<5> {
        let mut array = self.input(name);
        array.values.iter_mut().for_each(|value| *value = (*value - 128.0) / 64.0);
        array.tensor(&self.set.device)
    }

    /// Names of the expected values.
    pub fn expected(&self) -> Vec<String> {
        self.case["expected"].as_object().unwrap().keys().cloned().collect()
    }

    /// The error of one value in units of `allowed`.
    pub fn note(&mut self, name: &str, error: f64, allowed: f64) {
        self.compared += 1;
        self.digest.push((format!("{name} error"), vec![error]));
        let part = if error == 0.0 { 0.0 } else { error / allowed };
        self.worst = self.worst.max(part);
        // Not a number is a failure too.
        if part.is_nan() || part > 1.0 {
            self.fail(format!("{name}: error {error:.3e}, allowed {allowed:.3e}"));
        }
    }

    /// Compares all values under the rule of `expected.NAME`.
    pub fn value(&mut self, name: &str, got: &[f64]) {
        let rule = self.case["expected"][name].clone();
        let want = match rule.get("value") {
            Some(value) => vec![value.as_f64().unwrap()],
            None => self.array(&rule).values,
        };
        self.against(name, got, &want, &rule);
    }

    /// What is allowed of a gradient that is zero in theory, such as that of a bias that each class has alike: it is
    /// what rounding leaves of the sums of others, so it may be off as the largest of them.
    fn of_zero(&self, name: &str, atol: f64) -> f64 {
        let expected = self.case["expected"].as_object().unwrap();
        let others = expected.iter().filter(|(other, _)| name.starts_with("grad.") && other.starts_with("grad."));
        others.filter_map(|(_, rule)| rule["atol"].as_f64()).fold(atol, f64::max)
    }

    /// Compares all values with `want` under `rule`.
    pub fn against(&mut self, name: &str, got: &[f64], want: &[f64], rule: &Value) {
        if got.len() != want.len() {
            return self.fail(format!("{name}: {} values, expected {}", got.len(), want.len()));
        }
        self.digest.push((name.to_owned(), got.to_vec()));
        if rule["exact"] == true {
            let different = got.iter().zip(want).filter(|(g, w)| g != w).count();
            return self.note(name, different as f64, 0.5);
        }
        let number = |key: &str| rule[key].as_f64();
        // `atol` of metric cases is for float64 code.
        let (atol, rtol) = match number("atol_f32") {
            Some(atol) => (atol, 1e-5),
            None => (number("atol").expect("a tolerance"), number("rtol").unwrap_or(0.0)),
        };
        let atol =
            if number("largest").is_some_and(|largest| largest < ZERO) { self.of_zero(name, atol) } else { atol };
        let part = got.iter().zip(want).map(|(g, w)| (g - w).abs() / (atol + rtol * w.abs()));
        // `max` would drop not-a-number.
        let worst = part.fold(0.0, |worst: f64, part| if part.is_nan() || part > worst { part } else { worst });
        self.note(name, worst, 1.0);
    }
}
