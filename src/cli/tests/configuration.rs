//! `berth run` with a configuration file, and with flags beside it.

use super::*;

/// A file in a directory of its own, which goes away with it.
struct File(PathBuf);

impl File {
    fn new(test: &str, text: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("berth-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("c.yaml");
        let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
        std::fs::write(&path, format!("{head}{text}")).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn settings_of(arguments: &[&str]) -> settings::Settings {
    match outcome(arguments) {
        Ok(Command::Run(arguments)) => arguments.settings().unwrap(),
        other => panic!("{arguments:?}: {other:?}"),
    }
}

#[test]
fn a_configuration_file_decides_about_profiles() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/config.yaml");
    accepts(&["run", "--config", file], &["examples/config.yaml"]);
    rejects(
        &["run", "--config", file, "--scheduler-name=a"],
        2,
        &["--config", "--scheduler-name"],
    );
    accepts(&["check-config", "c", "-o", "json"], &["Json"]);
    rejects(&["check-config"], 2, &["FILE"]);
    rejects(
        &["run", "--config=/nowhere"],
        2,
        &["/nowhere: cannot be read"],
    );
    let settings = settings_of(&["run", "--config", file]);
    assert_eq!(settings.profiles.len(), 3);
    assert_eq!(settings.kubeconfig(), None);
    assert_eq!(settings.election().resource_name, "berth");
    assert_eq!(settings.shown["profiles"][1]["schedulerName"], "gpu");
    let settings = settings_of(&["run", "--scheduler-name=a", "--scheduler-name=b"]);
    assert_eq!(settings.profiles.len(), 2);
    assert_eq!(settings.election().resource_name, "berth");
    assert_eq!(settings.shown["leaderElection"]["resourceName"], "berth");
}

/// Whether the election of a file with these flags is right, and what is in force or said.
#[track_caller]
fn check_election(test: &str, file: &str, flags: &[&str], expected: Result<&str, &str>) {
    let file = File::new(test, file);
    let path = file.0.to_str().unwrap();
    let arguments = [&["run", "--config", path], flags].concat();
    let found = outcome(&arguments).map(|_| {
        let shown = &settings_of(&arguments).shown["leaderElection"];
        [
            "leaderElect",
            "leaseDuration",
            "renewDeadline",
            "retryPeriod",
            "resourceName",
        ]
        .map(|field| shown[field].to_string().replace('"', ""))
        .join(" ")
    });
    let expected = expected.map(str::to_owned);
    let expected = expected.map_err(|text| (2, format!("{path}: {text}")));
    assert_eq!(found, expected, "{flags:?}");
}

#[test]
fn an_election_is_judged_by_file_and_flags_together() {
    let lease = "--leader-elect-lease-duration";
    let renew = "--leader-elect-renew-deadline";
    let retry = "--leader-elect-retry-period";
    let flag = |name: &str, value: &str| format!("{name}={value}");
    let long = "leaderElection: {leaseDuration: 60s, renewDeadline: 40s, retryPeriod: 5s}\n";
    let short = "leaderElection: {leaseDuration: 10s}\n";
    let negative = "leaderElection: {leaseDuration: -1s}\n";
    let nameless = "leaderElection: {resourceName: ''}\n";
    for (number, (file, flags, expected)) in [
        ("", vec![], Ok("true 15s 10s 2s kube-scheduler")),
        (
            "",
            vec![flag(renew, "14s")],
            Ok("true 15s 14s 2s kube-scheduler"),
        ),
        (long, vec![], Ok("true 1m0s 40s 5s kube-scheduler")),
        // Right only beside what the file says.
        (
            long,
            vec![flag(renew, "59s")],
            Ok("true 1m0s 59s 5s kube-scheduler"),
        ),
        (
            long,
            vec![flag(retry, "30s")],
            Ok("true 1m0s 40s 30s kube-scheduler"),
        ),
        (
            long,
            vec![
                "--leader-elect-resource-name=a".to_owned(),
                "--leader-elect=false".to_owned(),
            ],
            Ok("false 1m0s 40s 5s a"),
        ),
        // Wrong only beside it.
        (
            long,
            vec![flag(lease, "20s")],
            Err(format!(
                "leaderElection.leaseDuration: Invalid value: \"40s\": must be greater than \
                 `RenewDeadline`; set by flags: {lease}"
            )),
        ),
        (
            long,
            vec![flag(renew, "6s")],
            Err(format!(
                "leaderElection.renewDeadline: Invalid value: \"6s\": must be greater than \
                 retryPeriod*1.2; set by flags: {renew}"
            )),
        ),
        (
            "",
            vec![flag(retry, "0"), flag(renew, "3s")],
            Err(format!(
                "leaderElection.retryPeriod: Invalid value: \"0s\": must be greater than zero; \
                 set by flags: {renew}, {retry}"
            )),
        ),
        // A file that is wrong by itself, and what mends it.
        (
            short,
            vec![],
            Err(
                "leaderElection.leaseDuration: Invalid value: \"10s\": must be greater than \
                 `RenewDeadline`"
                    .to_owned(),
            ),
        ),
        (
            short,
            vec![flag(lease, "11s")],
            Ok("true 11s 10s 2s kube-scheduler"),
        ),
        (
            short,
            vec![flag(renew, "9s")],
            Ok("true 10s 9s 2s kube-scheduler"),
        ),
        (
            short,
            vec!["--leader-elect=false".to_owned()],
            Ok("false 10s 10s 2s kube-scheduler"),
        ),
        (
            negative,
            vec![flag(renew, "5s")],
            Err(
                "leaderElection.leaseDuration: Invalid value: \"-1s\": must be greater than zero"
                    .to_owned(),
            ),
        ),
        (
            negative,
            vec![flag(lease, "20s")],
            Ok("true 20s 10s 2s kube-scheduler"),
        ),
        (
            negative,
            vec!["--leader-elect=false".to_owned()],
            Ok("false 0s 10s 2s kube-scheduler"),
        ),
        (nameless, vec![], Ok("true 15s 10s 2s kube-scheduler")),
        // What does not take place is judged when a flag says that it does.
        (
            "leaderElection: {leaderElect: false, retryPeriod: 9s}\n",
            vec!["--leader-elect".to_owned()],
            Err(
                "leaderElection.renewDeadline: Invalid value: \"10s\": must be greater than \
                 retryPeriod*1.2"
                    .to_owned(),
            ),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let expected = expected.as_ref().map(|text| *text).map_err(String::as_str);
        check_election(&format!("election-{number}"), file, &flags, expected);
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let file = File::new("at-once", "parallelism: 0\nfoo: 1\n");
    let path = file.0.to_str().unwrap();
    let expected = [
        "3 errors:",
        "leaderElection.leaseDuration: Invalid value: \"10s\"",
        "set by flags: --leader-elect-lease-duration",
        "parallelism: Invalid value: 0",
        "foo: unknown field",
    ];
    let flag = "--leader-elect-lease-duration=10s";
    rejects(&["run", "--config", path, flag], 2, &expected);
}
