//! The programs of the control plane, and those of Kubernetes' own tests: found, or built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use super::gobuild::{Bundle, Program};

const CONTROL_PLANE: Bundle = Bundle {
    name: "the control plane for the tests",
    module: "controlplane",
    versioned: "k8s.io/kubernetes",
    prefix: "",
    programs: &[
        program("etcd", "go.etcd.io/etcd/server/v3"),
        program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        program(
            "kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
        ),
        program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        program("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ],
};

const END_TO_END: Bundle = Bundle {
    name: "Kubernetes' own end-to-end tests",
    module: "controlplane",
    versioned: "k8s.io/kubernetes",
    prefix: "e2e-",
    programs: &[Program {
        name: "e2e.test",
        package: "k8s.io/kubernetes/test/e2e",
        tests: true,
    }],
};

const KWOK: Bundle = Bundle {
    name: "kwok",
    module: "kwok",
    versioned: "sigs.k8s.io/kwok",
    prefix: "kwok-",
    programs: &[program("kwok", "sigs.k8s.io/kwok/cmd/kwok")],
};

const fn program(name: &'static str, package: &'static str) -> Program {
    Program {
        name,
        package,
        tests: false,
    }
}

/// The program that holds all of Kubernetes' own end-to-end tests; it is built the first time.
pub fn end_to_end_tests() -> Result<PathBuf> {
    Ok(END_TO_END.ensure()?.join("e2e.test"))
}

/// kwok, which plays the kubelets of nodes that exist only as objects; it is built the first time.
pub fn kwok() -> Result<PathBuf> {
    Ok(KWOK.ensure()?.join("kwok"))
}

/// Waits for programs that may have to be built first.
///
/// The search gets a thread that is not the runtime's: for one of those a runtime waits when it ends, and a program
/// that is interrupted would not end before the build.
pub(crate) async fn search<T: Send + 'static>(look: fn() -> Result<T>) -> Result<T> {
    let (sender, found) = oneshot::channel();
    std::thread::spawn(move || sender.send(look()));
    found.await.context("the search for programs panicked")?
}

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
            match CONTROL_PLANE.missing(&directory) {
                None => return Ok(Self { directory }),
                Some(name) => eprintln!(
                    "KUBEBUILDER_ASSETS={} has no {name}; using our own build",
                    directory.display()
                ),
            }
        }
        let directory = CONTROL_PLANE.ensure()?;
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
