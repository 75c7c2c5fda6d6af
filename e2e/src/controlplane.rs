//! A control plane of its own for a test or a load run: etcd and kube-apiserver, with kube-controller-manager if asked.

pub mod binaries;
mod gobuild;
pub mod ports;
pub mod process;
mod schedulers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

pub use self::binaries::Binaries;
use self::process::{Process, TempDir};
pub use self::schedulers::{Scheduler, SchedulerKind, SchedulerOptions, berth_binary};

/// How long a program may take to become ready. It is a hundred times what is usual, for slow and busy machines.
pub const READY_LIMIT: Duration = Duration::from_secs(120);

/// How long a program may take to end after SIGTERM.
pub const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(50);

/// A port may be taken between being found and being used, so a start is tried this often.
const ATTEMPTS: u32 = 3;

/// The kubeconfig of the user to whom Kubernetes gives the rights of a scheduler.
const SCHEDULER_KUBECONFIG: &str = "scheduler-kubeconfig";

/// What kind of control plane is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Runs kube-controller-manager, without the controllers that need kubelets.
    pub controller_manager: bool,
    /// Lets the API server work on many requests at once.
    pub load: bool,
    /// Feature gates for all programs, as for `--feature-gates`.
    pub feature_gates: Option<String>,
    /// Further arguments for kube-apiserver.
    pub apiserver_args: Vec<String>,
    /// Further arguments for kube-controller-manager.
    pub controller_manager_args: Vec<String>,
}

impl Options {
    /// The options under which the API server has PodGroups (scheduling.k8s.io/v1beta1).
    pub fn with_pod_groups(mut self) -> Self {
        self.feature_gates = Some("GenericWorkload=true".to_owned());
        self.apiserver_args
            .push("--runtime-config=scheduling.k8s.io/v1beta1=true".to_owned());
        self
    }
}

/// A running control plane. Everything it consists of ends with this value, or with this process.
#[derive(Debug)]
pub struct ControlPlane {
    // The order of the fields is the order of their ends: processes before the directory they write to.
    controller_manager: Option<Process>,
    apiserver: Option<Process>,
    etcd: Process,
    directory: TempDir,
    options: Options,
    binaries: Binaries,
    config: Config,
    kubeconfig: PathBuf,
    etcd_url: String,
    port: u16,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready.
    pub async fn start(options: Options) -> Result<Self> {
        let binaries = binaries::search(Binaries::ensure).await?;
        let mut attempt = 1;
        loop {
            match Self::start_once(&options, &binaries).await {
                Err(error)
                    if attempt < ATTEMPTS && format!("{error:#}").contains("already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn start_once(options: &Options, binaries: &Binaries) -> Result<Self> {
        let directory = TempDir::new()?;
        let path = directory.path();
        let (client_port, peer_port, port) = (ports::free()?, ports::free()?, ports::free()?);
        let etcd_url = format!("http://127.0.0.1:{client_port}");
        let peer_url = format!("http://127.0.0.1:{peer_port}");
        let etcd = Process::start(
            "etcd",
            &binaries.etcd(),
            [
                format!("--data-dir={}", path.join("etcd").display()),
                format!("--listen-client-urls={etcd_url}"),
                format!("--advertise-client-urls={etcd_url}"),
                format!("--listen-peer-urls={peer_url}"),
                format!("--initial-advertise-peer-urls={peer_url}"),
                format!("--initial-cluster=default={peer_url}"),
                "--unsafe-no-fsync".to_owned(),
                "--quota-backend-bytes=4294967296".to_owned(),
                "--log-level=error".to_owned(),
            ],
            &path.join("etcd.log"),
        )?;

        let (token, scheduler_token) = (random_token()?, random_token()?);
        let tokens = format!(
            "{token},admin,admin,system:masters\n\
             {scheduler_token},system:kube-scheduler,system:kube-scheduler\n"
        );
        write_private(&path.join("tokens.csv"), &tokens)?;
        let (private_key, public_key) = signing_keys()?;
        write_private(&path.join("sa.key"), &private_key)?;
        write_private(&path.join("sa.pub"), &public_key)?;
        let certificates = path.join("certificates");
        let kubeconfig = path.join("kubeconfig");
        let authority = certificates.join("apiserver.crt");
        write_private(&kubeconfig, &kubeconfig_text(port, &authority, &token)?)?;
        write_private(
            &path.join(SCHEDULER_KUBECONFIG),
            &kubeconfig_text(port, &authority, &scheduler_token)?,
        )?;

        let mut control_plane = Self {
            controller_manager: None,
            apiserver: None,
            etcd,
            directory,
            options: options.clone(),
            binaries: binaries.clone(),
            // Replaced below: the API server writes its certificate when it starts.
            config: Config::new(http::Uri::from_static("http://127.0.0.1:1")),
            kubeconfig,
            etcd_url,
            port,
        };
        control_plane.launch_apiserver()?;
        control_plane.config = control_plane.read_config(&certificates).await?;
        control_plane.wait_for_apiserver().await?;
        if options.controller_manager {
            control_plane.start_controller_manager().await?;
        }
        Ok(control_plane)
    }

    /// The file with which clients reach this control plane as an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A file for clients that may do what Kubernetes allows to kube-scheduler, and nothing else.
    pub fn scheduler_kubeconfig(&self) -> PathBuf {
        self.directory().join(SCHEDULER_KUBECONFIG)
    }

    /// Writes a file for clients that have this token, and returns where it is.
    pub fn kubeconfig_of(&self, token: &str, name: &str) -> Result<PathBuf> {
        let path = self.directory().join(name);
        let authority = self.directory().join("certificates/apiserver.crt");
        write_private(&path, &kubeconfig_text(self.port, &authority, token)?)?;
        Ok(path)
    }

    /// The directory of this control plane, for logs and configuration files; it goes away with it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The programs that this control plane was started from.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The options with which this control plane was started.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The client configuration of an administrator, to make clients with other properties from.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// A new administrator's client. It belongs to the runtime in which this is called.
    pub fn client(&self) -> Result<Client> {
        Client::try_from(self.config()).context("cannot make a client")
    }

    /// The address of the API server, for example `https://127.0.0.1:20000`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The address at which etcd serves clients.
    pub fn etcd_url(&self) -> &str {
        &self.etcd_url
    }

    /// The pids of everything that runs: the programs and the shells that guard them.
    pub fn pids(&self) -> Vec<u32> {
        [self.controller_manager.as_ref(), self.apiserver.as_ref()]
            .into_iter()
            .flatten()
            .chain([&self.etcd])
            .flat_map(|process| [process.pid(), process.guard_pid()])
            .collect()
    }

    /// The process of the API server, unless it was stopped.
    pub fn apiserver(&self) -> Option<&Process> {
        self.apiserver.as_ref()
    }

    /// The process of etcd.
    pub fn etcd(&self) -> &Process {
        &self.etcd
    }

    /// Kills the API server, as in a crash: connections break at once. etcd keeps running.
    pub fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Starts the API server again on its old port and data, and waits until it is ready.
    pub async fn start_apiserver(&mut self) -> Result<()> {
        if self.apiserver.is_none() {
            self.launch_apiserver()?;
        }
        self.wait_for_apiserver().await
    }

    /// Kills the API server and starts it again.
    ///
    /// Its watch cache then begins at the newest revision, so a client that did not see the last changes before the end
    /// is answered with 410 and has to list again.
    pub async fn restart_apiserver(&mut self) -> Result<()> {
        self.stop_apiserver();
        self.start_apiserver().await
    }

    /// Kills the API server and starts it with other feature gates and arguments.
    pub async fn restart_apiserver_with(&mut self, options: Options) -> Result<()> {
        self.options = options;
        self.restart_apiserver().await
    }

    /// Stops everything in order and removes the directory.
    pub async fn stop(mut self) -> Result<()> {
        for process in [self.controller_manager.as_mut(), self.apiserver.as_mut()]
            .into_iter()
            .flatten()
        {
            // Nothing that a graceful end would save is kept.
            process.kill();
        }
        self.etcd.kill();
        Ok(())
    }

    fn launch_apiserver(&mut self) -> Result<()> {
        let path = self.directory.path();
        let mut args = vec![
            format!("--etcd-servers={}", self.etcd_url),
            format!("--cert-dir={}", path.join("certificates").display()),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            format!(
                "--service-account-key-file={}",
                path.join("sa.pub").display()
            ),
            format!(
                "--service-account-signing-key-file={}",
                path.join("sa.key").display()
            ),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--token-auth-file={}", path.join("tokens.csv").display()),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
            "--allow-privileged=true".to_owned(),
            // There is no service network here whose addresses could be reconciled.
            "--endpoint-reconciler-type=none".to_owned(),
        ];
        // New nodes would be tainted as not ready until a controller sees their conditions, pods be refused until a
        // controller has made their service account, and deleted claims, volumes and pod groups be kept until a
        // controller lets them go.
        args.push(if self.options.controller_manager {
            "--disable-admission-plugins=TaintNodesByCondition".to_owned()
        } else {
            "--disable-admission-plugins=TaintNodesByCondition,ServiceAccount,StorageObjectInUseProtection,\
             PodGroupProtection"
                .to_owned()
        });
        if self.options.load {
            args.push("--max-requests-inflight=3000".to_owned());
            args.push("--max-mutating-requests-inflight=1000".to_owned());
        }
        if let Some(gates) = &self.options.feature_gates {
            args.push(format!("--feature-gates={gates}"));
        }
        args.extend(self.options.apiserver_args.iter().cloned());
        self.apiserver = Some(Process::start(
            "kube-apiserver",
            &self.binaries.apiserver(),
            args,
            &path.join("kube-apiserver.log"),
        )?);
        Ok(())
    }

    /// Reads the kubeconfig as soon as the API server has written the certificate that it refers to.
    async fn read_config(&mut self, certificates: &Path) -> Result<Config> {
        let start = Instant::now();
        while !certificates.join("apiserver.key").is_file() {
            self.check_alive()?;
            if start.elapsed() > READY_LIMIT {
                bail!("kube-apiserver wrote no certificate in {READY_LIMIT:?}");
            }
            tokio::time::sleep(POLL).await;
        }
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .context("cannot read the kubeconfig")
    }

    async fn wait_for_apiserver(&mut self) -> Result<()> {
        let client = self.client()?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let start = Instant::now();
        loop {
            self.check_alive()?;
            // The namespace is made by the API server itself, some moments after it says that it is ready.
            let problem = match get(&client, "/readyz").await {
                Ok(_) => match namespaces.get("default").await {
                    Ok(_) => return Ok(()),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if start.elapsed() > READY_LIMIT {
                bail!("kube-apiserver is not ready after {READY_LIMIT:?}: {problem}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Fails with the end of the output of a program that should run but does not.
    fn check_alive(&mut self) -> Result<()> {
        for process in [Some(&mut self.etcd), self.apiserver.as_mut()]
            .into_iter()
            .flatten()
        {
            if let Some(code) = process.try_wait()? {
                bail!(
                    "{} ended with exit code {code}:\n{}",
                    process.name(),
                    process.tail(15)
                );
            }
        }
        Ok(())
    }

    async fn start_controller_manager(&mut self) -> Result<()> {
        let path = self.directory.path();
        let port = ports::free()?;
        let mut args = vec![
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--authentication-kubeconfig={}", self.kubeconfig.display()),
            format!("--authorization-kubeconfig={}", self.kubeconfig.display()),
            format!(
                "--service-account-private-key-file={}",
                path.join("sa.key").display()
            ),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            // Without kubelets nobody renews the leases of nodes, and their lifecycle controller would empty them.
            "--controllers=*,-node-ipam-controller,-node-lifecycle-controller".to_owned(),
            "--kube-api-qps=1000".to_owned(),
            "--kube-api-burst=1000".to_owned(),
        ];
        if let Some(gates) = &self.options.feature_gates {
            args.push(format!("--feature-gates={gates}"));
        }
        args.extend(self.options.controller_manager_args.iter().cloned());
        let mut process = Process::start(
            "kube-controller-manager",
            &self.binaries.controller_manager(),
            args,
            &path.join("kube-controller-manager.log"),
        )?;
        // Pods are refused until their namespace has its service account, so that is what ready means here.
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(self.client()?, "default");
        let start = Instant::now();
        while accounts.get_opt("default").await?.is_none() {
            if let Some(code) = process.try_wait()? {
                bail!(
                    "kube-controller-manager ended with exit code {code}:\n{}",
                    process.tail(15)
                );
            }
            if start.elapsed() > READY_LIMIT {
                bail!("kube-controller-manager is not ready after {READY_LIMIT:?}");
            }
            tokio::time::sleep(POLL).await;
        }
        self.controller_manager = Some(process);
        Ok(())
    }
}

/// Asks for a page and returns its text; any answer but success is an error.
pub async fn get(client: &Client, path: &str) -> Result<String> {
    let request = Request::get(path).body(Vec::new())?;
    Ok(client.request_text(request).await?)
}

/// A token that nobody else on this machine can guess.
fn random_token() -> Result<String> {
    let bytes: [u8; 16] = ring::rand::generate(&SystemRandom::new())
        .map_err(|_| anyhow!("the system gives no random numbers"))?
        .expose();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A new private key for service account tokens and its public key, in the forms that Kubernetes reads.
fn signing_keys() -> Result<(String, String)> {
    /// What precedes the point of a public key on P-256 in a SubjectPublicKeyInfo.
    const PREFIX: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
        .map_err(|_| anyhow!("cannot make a key"))?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random)
        .map_err(|_| anyhow!("cannot read the key that was just made"))?;
    let public = [&PREFIX, pair.public_key().as_ref()].concat();
    Ok((
        pem("PRIVATE KEY", private.as_ref()),
        pem("PUBLIC KEY", &public),
    ))
}

/// The textual form of a key.
fn pem(label: &str, content: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(content);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| str::from_utf8(line).ok())
        .collect();
    let body = lines.join("\n");
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A kubeconfig; JSON is YAML too.
fn kubeconfig_text(port: u16, authority: &Path, token: &str) -> Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "e2e", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": authority,
        }}],
        "users": [{"name": "e2e", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
        "current-context": "e2e",
    });
    Ok(serde_json::to_string_pretty(&config)?)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
