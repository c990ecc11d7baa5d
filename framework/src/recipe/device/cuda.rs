//! What `cuda:N` needs at run time and where it is: NVIDIA's driver, CUDA's compiler, and CUDA's headers.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One thing that `cuda:N` needs.
pub struct Part {
    /// What it is, in two words.
    pub what: &'static str,
    /// Where it is, or how to get it.
    pub found: Result<PathBuf, String>,
}

/// Where the parts are looked for.
struct Places {
    /// The folders of LD_LIBRARY_PATH.
    named: Vec<PathBuf>,
    /// The libraries that the system's loader has listed, as `ldconfig -p` prints them.
    listed: String,
    /// The folders that the loader looks in besides.
    usual: Vec<PathBuf>,
    /// The folder that CUDA_PATH names.
    cuda_path: Option<PathBuf>,
    /// Folders of a toolkit, in the order in which burn tries them where CUDA_PATH is not set.
    toolkits: Vec<PathBuf>,
    /// The folders `nvidia` of the Python packages of the environment that is active.
    packages: Vec<PathBuf>,
}

/// The three parts, each found or with the way to get it.
pub fn parts() -> [Part; 3] {
    Places::of_this_system().parts()
}

impl Places {
    fn of_this_system() -> Self {
        let folders = |text: &[&str]| text.iter().map(PathBuf::from).collect::<Vec<_>>();
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let named = variable("LD_LIBRARY_PATH").map_or_else(Vec::new, |value| std::env::split_paths(&value).collect());
        // Debian has it where only root looks.
        let listed = ["ldconfig", "/sbin/ldconfig"].iter().find_map(|program| {
            let output = Command::new(program).arg("-p").output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        });
        let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable);
        let pythons = environments.flat_map(|folder| entries(&Path::new(&folder).join("lib")));
        Self {
            named,
            listed: listed.unwrap_or_default(),
            usual: folders(&["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"]),
            cuda_path: variable("CUDA_PATH").map(PathBuf::from),
            toolkits: folders(&["/usr/local/cuda", "/opt/cuda"]),
            packages: pythons.map(|python| python.join("site-packages/nvidia")).filter(|path| path.is_dir()).collect(),
        }
    }

    fn parts(&self) -> [Part; 3] {
        let driver = self.library("libcuda.so", &[]).map_err(|_| {
            "libcuda.so is not found: it comes with NVIDIA's driver, and `nvidia-smi` must list the card".to_owned()
        });
        let compiler = self.library("libnvrtc.so", &["cuda_nvrtc/lib"]).map_err(|hidden| match hidden {
            Some(path) => {
                format!("libnvrtc.so is not found, but {} is there: add its folder to LD_LIBRARY_PATH", path.display())
            }
            None => {
                "libnvrtc.so is not found: install the CUDA toolkit, or `pip install nvidia-cuda-nvrtc-cu12==12.8.*` \
                     and add its folder nvidia/cuda_nvrtc/lib to LD_LIBRARY_PATH"
                    .to_owned()
            }
        });
        [
            Part { what: "CUDA driver", found: driver },
            Part { what: "CUDA compiler", found: compiler },
            Part { what: "CUDA headers", found: self.headers() },
        ]
    }

    /// The library `name` where the loader finds it; otherwise one that it does not find, as in a toolkit or in
    /// `packages`.
    fn library(&self, name: &str, packages: &[&str]) -> Result<PathBuf, Option<PathBuf>> {
        let in_folders = |folders: &[PathBuf]| {
            let files = folders.iter().flat_map(|folder| entries(folder));
            files.filter(|file| file.file_name().is_some_and(|own| is_version(&own.to_string_lossy(), name))).min()
        };
        let listed = self.listed.lines().find_map(|line| {
            let (own, path) = line.split_once(" => ")?;
            is_version(own.split_whitespace().next()?, name).then(|| PathBuf::from(path.trim()))
        });
        if let Some(found) = in_folders(&self.named).or(listed).or_else(|| in_folders(&self.usual)) {
            return Ok(found);
        }
        let toolkits = self.cuda_path.iter().chain(&self.toolkits);
        let mut hidden: Vec<PathBuf> = toolkits.flat_map(|path| [path.join("lib64"), path.join("lib")]).collect();
        hidden.extend(self.packages.iter().flat_map(|folder| packages.iter().map(|name| folder.join(name))));
        Err(in_folders(&hidden))
    }

    /// The folder with the headers, as burn finds it.
    fn headers(&self) -> Result<PathBuf, String> {
        const HEADER: &str = "include/cuda_runtime.h";
        let get = "install the CUDA toolkit, or `pip install nvidia-cuda-runtime-cu12==12.8.*` and let CUDA_PATH name \
                   its folder nvidia/cuda_runtime";
        let packaged =
            self.packages.iter().map(|path| path.join("cuda_runtime")).find(|path| path.join(HEADER).exists());
        let get = packaged.map_or_else(|| get.to_owned(), |path| format!("let CUDA_PATH name {}", path.display()));
        match &self.cuda_path {
            Some(path) if path.join(HEADER).is_file() => Ok(path.join("include")),
            Some(path) => Err(format!("CUDA_PATH names {}, which has no {HEADER}: {get}", path.display())),
            None => {
                // burn takes the first toolkit that is there, with headers or without.
                let toolkit = self.toolkits.iter().find(|path| path.exists());
                let found =
                    toolkit.map(|path| path.join("include")).filter(|path| path.join("cuda_runtime.h").is_file());
                found.ok_or_else(|| format!("cuda_runtime.h is not found: {get}"))
            }
        }
    }
}

/// Whether `own` is the library `name` or a major version of it: `libcuda.so.1`, `libnvrtc.so.12`.
fn is_version(own: &str, name: &str) -> bool {
    let version = own.strip_prefix(name).map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What the folder holds; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Places {
        Places {
            named: Vec::new(),
            listed: String::new(),
            usual: Vec::new(),
            cuda_path: None,
            toolkits: Vec::new(),
            packages: Vec::new(),
        }
    }

    fn touch(path: PathBuf) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn what_is_missing_comes_with_the_way_to_get_it() {
        let [driver, compiler, headers] = nowhere().parts().map(|part| part.found.unwrap_err());
        assert!(driver.contains("nvidia-smi"), "{driver}");
        assert!(compiler.contains("nvidia-cuda-nvrtc-cu12") && compiler.contains("LD_LIBRARY_PATH"), "{compiler}");
        assert!(headers.contains("nvidia-cuda-runtime-cu12") && headers.contains("CUDA_PATH"), "{headers}");
    }

    #[test]
    fn a_library_is_found_where_the_loader_looks_and_named_where_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let listed = "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/libcuda.so.1\n\tlibcudart.so => /x/libcudart.so\n";
        let packages = folder.path().join("nvidia");
        let library = touch(packages.join("cuda_nvrtc/lib/libnvrtc.so.12"));
        touch(packages.join("cuda_nvrtc/lib/libnvrtc-builtins.so.12.8"));
        touch(packages.join("cuda_runtime/include/cuda_runtime.h"));
        let mut places = Places { listed: listed.to_owned(), packages: vec![packages.clone()], ..nowhere() };
        let [driver, compiler, headers] = places.parts();
        assert_eq!(driver.found.unwrap(), Path::new("/usr/lib/libcuda.so.1"));
        assert!(compiler.found.unwrap_err().contains(&library.display().to_string()));
        let hint = headers.found.unwrap_err();
        assert!(hint.contains(&packages.join("cuda_runtime").display().to_string()), "{hint}");
        places.named = vec![packages.join("cuda_nvrtc/lib")];
        places.cuda_path = Some(packages.join("cuda_runtime"));
        let [_, compiler, headers] = places.parts();
        assert_eq!(compiler.found.unwrap(), library);
        assert_eq!(headers.found.unwrap(), packages.join("cuda_runtime/include"));
        places.cuda_path = Some(folder.path().to_owned());
        assert!(places.headers().unwrap_err().contains("CUDA_PATH names"));
    }
}
