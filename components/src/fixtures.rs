//! Tensors of the unit tests' files: tiny models of independent implementations, see `testdata/README.md`.

use maclip_framework::weights::{self, ElementType, HostTensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub struct Fixture {
    pub tensors: BTreeMap<String, HostTensor>,
    folder: tempfile::TempDir,
}

pub fn open(name: &str) -> Fixture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(format!("{name}.safetensors"));
    Fixture { tensors: weights::read(&path).unwrap().tensors, folder: tempfile::tempdir().unwrap() }
}

impl Fixture {
    /// Takes the tensors out that are no weights.
    pub fn take(&mut self, name: &str) -> HostTensor {
        self.tensors.remove(name).unwrap()
    }

    /// A checkpoint of what is left.
    pub fn checkpoint(&self) -> PathBuf {
        let path = self.folder.path().join("weights.safetensors");
        let bytes = weights::serialize(&self.tensors, &BTreeMap::new(), ElementType::F32).unwrap();
        maclip_framework::files::write_atomically(&path, &bytes).unwrap();
        path
    }
}

pub fn tensor<const D: usize>(host: &HostTensor) -> burn::tensor::Tensor<D> {
    let data = burn::tensor::TensorData::new(host.values.clone(), host.shape.clone());
    burn::tensor::Tensor::from_data(data, &burn::tensor::Device::flex())
}

/// Asserts that all values agree within `tolerance`.
pub fn close<const D: usize>(got: burn::tensor::Tensor<D>, want: &HostTensor, tolerance: f32) {
    let got: Vec<f32> = got.into_data().iter::<f32>().collect();
    assert_eq!(got.len(), want.values.len());
    let error = got.iter().zip(&want.values).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
    assert!(error <= tolerance, "largest error {error}");
}
