//! When what is known of owners counts as another.

use super::*;

fn labels(value: &str) -> Option<Labels> {
    Some(Box::new([("app".into(), value.into())]))
}

fn selector(value: &str) -> Option<LabelSelector> {
    Some(LabelSelector::of(vec![Requirement::equals("app", value)]))
}

#[test]
fn only_what_selects_otherwise_is_a_change() {
    let mut cluster = Cluster::default();
    let mut before = cluster.owners.version("a");
    assert_eq!(before, 0);
    let mut check = |what: &str, changes: bool, act: &dyn Fn(&mut Cluster)| {
        act(&mut cluster);
        let after = cluster.owners.version("a");
        assert_eq!(after != before, changes, "{what}");
        before = after;
    };
    check("a service that selects nothing", false, &|cluster| {
        cluster.set_service("a", "s", None);
    });
    check("a service", true, &|cluster| {
        cluster.set_service("a", "s", labels("x"));
    });
    check("the same service", false, &|cluster| {
        cluster.set_service("a", "s", labels("x"));
    });
    check("with other labels", true, &|cluster| {
        cluster.set_service("a", "s", labels("y"));
    });
    check("a service elsewhere", false, &|cluster| {
        cluster.set_service("b", "s", labels("z"));
    });
    let kinds = [ControllerKind::ReplicaSet, ControllerKind::StatefulSet];
    for kind in kinds {
        check("a controller", true, &|cluster| {
            cluster.set_controller(kind, "a", "c", selector("x"));
        });
        check("the same controller", false, &|cluster| {
            cluster.set_controller(kind, "a", "c", selector("x"));
        });
    }
    check("no service any more", true, &|cluster| {
        cluster.set_service("a", "s", None);
    });
    for kind in kinds {
        check("no controller any more", true, &|cluster| {
            cluster.set_controller(kind, "a", "c", None);
        });
    }
    assert_eq!(before, 0);
    let held: Vec<&str> = (cluster.owners.namespaces.keys())
        .map(|name| &**name)
        .collect();
    assert_eq!(held, ["b"]);
}
