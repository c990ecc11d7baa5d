//! Compiles what LibTorch is asked for beside the `tch` crate, where the feature `tch` is on.

fn main() {
    println!("cargo:rerun-if-changed=src/torch_calls.cpp");
    #[cfg(feature = "tch")]
    torch_calls();
}

/// LibTorch's headers are where the `torch-sys` crate has them from; its build says so first where there are none.
#[cfg(feature = "tch")]
fn torch_calls() {
    let variable = |name: &str| {
        println!("cargo:rerun-if-env-changed={name}");
        std::env::var(name).ok()
    };
    let folder = variable("LIBTORCH_INCLUDE").or_else(|| variable("LIBTORCH")).or_else(|| {
        variable("LIBTORCH_USE_PYTORCH")?;
        let script = "import importlib.util; print(importlib.util.find_spec('torch').submodule_search_locations[0])";
        let python = if variable("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
        let output = std::process::Command::new(python).args(["-c", script]).output().ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    });
    let folder = std::path::PathBuf::from(folder.unwrap_or_else(|| "/usr".to_owned()));
    let include = folder.join("include");
    if !include.join("torch/csrc/autograd/autograd.h").is_file() {
        panic!(
            "{} has no headers of LibTorch: set LIBTORCH, as scripts/libtorch_cpu.sh and scripts/libtorch_cuda.sh do",
            include.display()
        );
    }
    let abi = variable("LIBTORCH_CXX11_ABI").unwrap_or_else(|| "1".to_owned());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .includes([include.join("torch/csrc/api/include"), include])
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .file("src/torch_calls.cpp")
        .compile("maclip_torch_calls");
}
