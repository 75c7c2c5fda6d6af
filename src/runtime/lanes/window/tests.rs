//! The window grows while it is used up and the server keeps up, and shrinks when it does not.

use super::*;

const FAST: Duration = Duration::from_millis(20);

fn fill(window: &mut Window, took: Duration, in_flight: usize, now: Instant) {
    for _ in 0..window.size() {
        window.answered(took, in_flight, now);
    }
}

#[test]
fn grows_only_when_it_is_used_up() {
    let now = Instant::now();
    let mut window = Window::new();
    fill(&mut window, FAST, START, now);
    assert_eq!(window.size(), START + 4);
    fill(&mut window, FAST, 3, now);
    assert_eq!(window.size(), START + 4);
}

#[test]
fn never_leaves_its_bounds() {
    let start = Instant::now();
    let mut window = Window::new();
    for _ in 0..200 {
        fill(&mut window, FAST, MAX, start);
    }
    assert_eq!(window.size(), MAX);
    for second in 1..100 {
        window.overloaded(start + Duration::from_secs(second));
    }
    assert_eq!(window.size(), MIN);
}

#[test]
fn shrinks_when_answers_are_slow() {
    let now = Instant::now();
    let mut window = Window::new();
    fill(&mut window, SLOW * 2, START, now);
    assert_eq!(window.size(), 57);
}

#[test]
fn one_bad_moment_counts_once() {
    let now = Instant::now();
    let mut window = Window::new();
    for _ in 0..10 {
        window.overloaded(now);
    }
    assert_eq!(window.size(), START / 2);
    window.overloaded(now + PAUSE);
    assert_eq!(window.size(), START / 4);
}
