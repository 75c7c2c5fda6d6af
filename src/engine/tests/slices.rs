//! Searches for victims that do not end in one turn: others have theirs in between, whatever happens
//! meanwhile counts, and in the end it is as if it had been one.

use serde_json::json;

use super::gangs::scene::{GPU, Scene};
use super::*;
use crate::queue::State;

const NODES: usize = 6;

/// Who looks for victims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Pod,
    Gang,
}

/// Nodes that are full of less important pods, one each, and somebody who has had the first turn of a
/// search that looks at one node at a time.
struct Story {
    scene: Scene,
    who: Who,
    metrics: Arc<Metrics>,
}

impl Story {
    fn begun(who: Who) -> Self {
        let mut story = Self::full(who, 1);
        let effects = story.turn();
        assert!(effects.is_empty(), "{effects:?}");
        assert_eq!(story.state(), Some(State::Unfinished));
        assert!(story.scene.engine.has_work());
        story
    }

    fn full(who: Who, slice: usize) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut scene = Scene::new(0, 0);
        scene.engine = counted_engine_of(default_profile("berth"), 0, &metrics);
        scene.engine.slice = slice;
        scene.engine.apply(Change::Synced, scene.now);
        for place in 0..NODES {
            scene.node(&format!("node-{place}"), 8, &[]);
            let spec = json!({"priority": place, "nodeName": format!("node-{place}")});
            scene.pod_with("", &format!("low-{place}"), 8, json!({}), spec);
        }
        scene.settle();
        let spec = json!({"priority": 100});
        match who {
            Who::Pod => scene.pod_with("", "high-0", 8, json!({}), spec),
            Who::Gang => {
                scene.group("high", 2);
                for name in ["high-0", "high-1"] {
                    scene.pod_with("high", name, 8, json!({}), spec.clone());
                }
            }
        }
        Self {
            scene,
            who,
            metrics,
        }
    }

    /// One turn, of which nothing is carried out yet.
    fn turn(&mut self) -> Vec<Effect> {
        let effects = self.scene.engine.run(self.scene.now, 1);
        self.scene.engine.audit();
        effects
    }

    fn key(&self) -> Option<PodKey> {
        let engine = &self.scene.engine;
        match self.who {
            Who::Pod => engine.by_uid.get("high-0").copied(),
            Who::Gang => {
                let gang = engine.gangs.table.of_member("high-0")?;
                Some(engine.gangs.table.get(gang)?.unit)
            }
        }
    }

    fn state(&self) -> Option<State> {
        Some(self.scene.engine.queue.get(self.key()?)?.state)
    }

    fn members(&self) -> usize {
        match self.who {
            Who::Pod => 1,
            Who::Gang => 2,
        }
    }

    fn evicted(&self) -> Vec<&str> {
        self.scene.evicted.iter().map(|name| &**name).collect()
    }

    /// The number that a metric has come to.
    fn metric(&self, line: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let mut values = text.lines().filter_map(|held| held.strip_prefix(line));
        values
            .next()
            .map_or(0, |value| value.trim().parse().unwrap())
    }
}

fn both(check: impl Fn(Who)) {
    check(Who::Pod);
    check(Who::Gang);
}

#[test]
fn others_have_their_turns_in_between() {
    both(|who| {
        let mut story = Story::begun(who);
        for number in 0..3 {
            let name = format!("ordinary-{number}");
            story.scene.pod("", &name, 0);
            let mut effects = Vec::new();
            for _ in 0..2 {
                effects.extend(story.turn());
            }
            assert_eq!(story.state(), Some(State::Unfinished), "{who:?}");
            for effect in effects {
                story.scene.carry(effect);
            }
            assert!(story.scene.node_of(&name).is_some(), "{who:?}");
        }
        story.scene.settle();
        assert_eq!(story.evicted().len(), story.members());
    });
}

#[test]
fn it_ends_as_if_it_had_been_one() {
    both(|who| {
        let mut ends = Vec::new();
        for slice in [1, 7, usize::MAX] {
            let mut story = Story::full(who, slice);
            story.scene.settle();
            let names = story.evicted().join(" ");
            let told = story.scene.take_events(EventKind::FailedScheduling);
            assert_eq!(story.scene.attempts("high-0"), 1);
            let condition = story.scene.condition("high-0").1.to_owned();
            let counted = [
                "scheduler_preemption_attempts_total",
                "scheduler_scheduling_algorithm_duration_seconds_count",
                "scheduler_schedule_attempts_total{profile=\"berth\",result=\"unschedulable\"}",
                "scheduler_framework_extension_point_duration_seconds_count{extension_point=\"PostFilter\",profile=\"berth\",status=\"Success\"}",
            ]
            .map(|line| story.metric(line));
            ends.push((names, told, condition, counted));
        }
        assert!(!ends[0].0.is_empty());
        if who == Who::Pod {
            assert_eq!(ends[0].3, [1; 4]);
        }
        assert_eq!(ends[0], ends[2], "{who:?}");
        assert_eq!(ends[1], ends[2], "{who:?}");
    });
}

#[test]
fn who_goes_in_between_leaves_nothing() {
    let ends: [fn(&mut Story); 3] = [
        |story| {
            for number in 0..story.members() {
                story.scene.delete(&format!("high-{number}"));
            }
        },
        |story| {
            // Another scheduler has bound them.
            for number in 0..story.members() {
                story.scene.edit(&format!("high-{number}"), |pod| {
                    pod["spec"]["nodeName"] = json!("node-0");
                });
            }
        },
        |story| {
            for number in 0..story.members() {
                story.scene.terminate(&format!("high-{number}"));
            }
        },
    ];
    for end in ends {
        both(|who| {
            let mut story = Story::begun(who);
            end(&mut story);
            story.scene.settle();
            assert!(story.evicted().is_empty(), "{who:?}: {:?}", story.evicted());
            assert_eq!(story.state(), None, "{who:?}");
            assert!(!story.scene.engine.has_work(), "{who:?}");
        });
    }
}

#[test]
fn what_happens_in_between_counts() {
    let helps: [fn(&mut Story); 3] = [
        |story| {
            for number in 0..story.members() {
                story.scene.node(&format!("new-{number}"), 8, &[]);
            }
        },
        |story| {
            for number in 0..story.members() {
                story.scene.delete(&format!("low-{number}"));
            }
        },
        |story| {
            // They ask for less than it was.
            for number in 0..story.members() {
                story.scene.edit(&format!("high-{number}"), |pod| {
                    let requests = &mut pod["spec"]["containers"][0]["resources"]["requests"];
                    requests[GPU] = json!("0");
                });
            }
        },
    ];
    for help in helps {
        both(|who| {
            let mut story = Story::begun(who);
            help(&mut story);
            story.scene.settle();
            assert!(story.evicted().is_empty(), "{who:?}: {:?}", story.evicted());
            assert_eq!(story.scene.bound("high"), story.members(), "{who:?}");
        });
    }
}

/// The least important pods would have gone; by the time they are chosen others are.
#[test]
fn a_victim_that_changes_in_between_is_another_one() {
    both(|who| {
        let mut story = Story::begun(who);
        story.turn();
        story.turn();
        for number in 0..story.members() {
            story.scene.edit(&format!("low-{number}"), |pod| {
                pod["spec"]["priority"] = json!(50);
            });
        }
        story.scene.settle();
        let expected: Vec<String> = (story.members()..2 * story.members())
            .map(|number| format!("low-{number}"))
            .collect();
        let mut evicted = story.evicted();
        evicted.sort_unstable();
        assert_eq!(evicted, expected, "{who:?}");
    });
}

#[test]
fn it_ends_though_nodes_change_faster_than_they_are_looked_at() {
    both(|who| {
        let mut story = Story::begun(who);
        let mut turns = 0;
        while story.state() == Some(State::Unfinished) {
            for place in 0..NODES {
                let label = format!("{turns}");
                let name = format!("node-{place}");
                story.scene.node(&name, 8, &[("turn", &label)]);
            }
            let effects = story.turn();
            for effect in effects {
                story.scene.carry(effect);
            }
            turns += 1;
            assert!(turns < 50, "{who:?}: it never ends");
        }
        assert!(turns > NODES, "{who:?}: it was not held up");
        assert_eq!(story.evicted().len(), story.members());
    });
}

#[test]
fn the_most_important_search_goes_on_first() {
    let mut story = Story::begun(Who::Pod);
    let spec = json!({"priority": 200});
    story.scene.pod_with("", "higher", 7, json!({}), spec);
    while story.scene.evicted.is_empty() {
        for effect in story.turn() {
            story.scene.carry(effect);
        }
    }
    let nominated =
        |name: &str| story.scene.pods[name].object["status"]["nominatedNodeName"].clone();
    assert_eq!(nominated("higher"), json!("node-0"));
    assert_eq!(nominated("high-0"), json!(null));
    story.scene.settle();
    assert_eq!(story.evicted(), ["low-0", "low-1"]);
}
