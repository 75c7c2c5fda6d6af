//! What goes wrong, on demand and from a seed.

use super::*;

#[test]
fn faults_happen_as_planned_and_as_drawn() {
    let mut cluster = Cluster::new();
    cluster.0.plan_fault(Verb::Create, pods(), Fault::LostReply);
    cluster
        .0
        .plan_fault(Verb::Create, pods(), Fault::TooManyRequests);
    cluster.0.plan_fault(Verb::Create, pods(), Fault::Timeout);
    assert_eq!(cluster.create(pod("a")).unwrap_err().code, 0);
    assert!(cluster.get("a").is_ok(), "it was carried out");
    let busy = cluster.create(pod("b")).unwrap_err();
    assert_eq!((busy.code, busy.retry_after), (429, Some(1)));
    assert!(cluster.get("b").is_err());
    assert_eq!(cluster.create(pod("b")).unwrap_err().code, 504);
    assert!(cluster.get("b").is_ok());

    cluster.0.plan_fault(Verb::List, pods(), Fault::Stale(1));
    let stale = cluster
        .call(Request::new(Verb::List, pods(), "", ""))
        .unwrap();
    assert_eq!(stale["items"].as_array().unwrap().len(), 1);

    let mut watch = cluster.watch(&WatchOptions::default());
    assert_eq!(cluster.lines(&mut watch), ["ADDED a", "ADDED b"]);
    cluster.0.set_fault_rates(FaultRates {
        delayed_watch: 1000,
        delay: std::time::Duration::from_secs(5),
        ..FaultRates::default()
    });
    cluster.create(pod("c")).unwrap();
    assert!(cluster.lines(&mut watch).is_empty());
    cluster.0.set_fault_rates(FaultRates::default());
    cluster.1 += 4;
    assert!(cluster.lines(&mut watch).is_empty());
    cluster.1 += 1;
    assert_eq!(cluster.lines(&mut watch), ["ADDED c"]);
    cluster.0.cut_watches(1);
    cluster.create(pod("d")).unwrap();
    assert!(cluster.lines(&mut watch).is_empty());
    assert!(watch.ended());

    let history = |seed: u64| {
        let mut cluster = Cluster(
            ApiServer::new(Config {
                seed,
                ..Config::default()
            }),
            0,
        );
        cluster.0.set_fault_rates(FaultRates {
            internal_error: 300,
            ..FaultRates::default()
        });
        (0..40)
            .map(|index| cluster.create(pod(&format!("p{index}"))).is_ok())
            .collect::<Vec<_>>()
    };
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}
