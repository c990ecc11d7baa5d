//! Takes the place of the crate `cubecl-llvm` in builds with the feature `cuda`.
//!
//! **Why.** `cubecl-cuda` 0.11.3 always links `cubecl-llvm`, whose build downloads LLVM from a web site that is no
//! crate registry. The feature `cuda-cpp` of `cubecl` compiles kernels with NVRTC, NVIDIA's own compiler, and then
//! nothing of LLVM is called. So this crate has the types that `cubecl-cuda` names, and a compiler that is an error.
//!
//! **When to remove it.** When a `cubecl-cuda` builds without `cubecl-llvm`, or `cubecl-llvm` without a download: then
//! this folder and its line in `[patch.crates-io]` go.

use cubecl_core::Compiler;
use cubecl_core::ir::amd::GfxArch;
use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::CompilationError;
use cubecl_runtime::kernel::BufferIOAttr;
use std::ffi::c_char;

/// NVIDIA's intermediate language.
pub mod nvptx {
    /// Versions of PTX.
    pub mod ptx_version {
        /// A version of PTX.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(u32);

        impl PtxVersion {
            /// The version that a driver takes. None: nothing here writes PTX.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl std::fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "ptx{}", self.0)
            }
        }
    }
}

/// What the compiler's targets share.
pub mod shared {
    /// Features that a target lacks.
    pub mod lowered_features {
        /// Targets on a GPU.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA.
            Nvptx,
        }

        /// Takes away the features that the compiler cannot lower. None: nothing here compiles.
        pub fn restrict_features(_properties: &mut cubecl_core::ir::DeviceProperties, _target: GpuTarget) {}
    }
}

/// What code is compiled for.
#[derive(Clone, Copy, Debug, Default)]
pub enum LlvmTarget {
    /// The processor.
    #[default]
    Cpu,
    /// NVIDIA.
    Nvptx,
}

/// Options of a compilation.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// AMD's architecture.
    pub arch: Option<GfxArch>,
    /// NVIDIA's architecture.
    pub sm_arch: Option<SmArch>,
    /// The version of PTX to write.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether arguments are constants of the grid.
    pub grid_constants: bool,
    /// Alignment of buffers on a processor, bytes.
    pub cpu_buffer_alignment: Option<u32>,
}

/// A compiled kernel for NVIDIA.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// Its PTX, ending with a zero.
    pub ptx: Vec<c_char>,
    /// The name of its function.
    pub entrypoint: String,
    /// What it was compiled from.
    pub ir: String,
    /// Shared memory, bytes.
    pub shared_memory_size: usize,
    /// How it uses each buffer.
    pub io: Vec<BufferIOAttr>,
}

/// A compiled kernel.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// For NVIDIA.
    NvptxCode(NvptxModule),
    /// For anything else.
    Other,
}

impl std::fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a kernel that was not compiled: this build has no LLVM")
    }
}

/// The compiler that is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(&mut self, _: KernelDefinition, _: &PlironOptions) -> Result<PlironArtifact, CompilationError> {
        let reason = "this program was built without LLVM, and CUDA kernels go through NVRTC (`cubecl/cuda-cpp`)";
        Err(CompilationError::Generic { reason: reason.to_owned(), backtrace: BackTrace::capture() })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
