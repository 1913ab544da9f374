//! All endpoints of a service are down: a prompt answer, no queue, no work.

use std::time::{Duration, Instant};

use crate::support::{Mesh, Origin};

/// `web` believes in three endpoints of `app`, none of which is there.
pub(super) fn abandoned(app: &Origin) -> Mesh {
    let mesh = Mesh::new().caller("web");
    let mut mesh = mesh.service("app", app).service("app", app).service("app", app).start();
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    mesh.take_control_plane().kill();
    for number in 0..3 {
        mesh.take(&format!("app-{number}")).end();
    }
    mesh
}

/// How long each of so many answers took; each is 503 and says why.
#[track_caller]
pub(super) fn refusals(mesh: &Mesh, count: usize) -> Vec<Duration> {
    let mut conn = mesh.call("web");
    let ask = |_| {
        let begun = Instant::now();
        let answer = conn.get("app", "/");
        let took = begun.elapsed();
        assert_eq!((answer.status, answer.reason().as_str()), (503, "connect_failure"));
        took
    };
    let mut times: Vec<_> = (0..count).map(ask).collect();
    times.sort();
    times
}

#[test]
fn with_all_endpoints_down_the_answer_is_prompt_and_nothing_queues() {
    let app = Origin::saying("here");
    let mesh = abandoned(&app);
    let times = refusals(&mesh, 100);
    // How prompt is measured by the drill; here nothing waits for a time limit.
    let slowest = times[times.len() - 1];
    assert!(slowest < Duration::from_secs(5), "one took {slowest:?}");
}

#[test]
fn many_callers_at_once_do_not_queue_either() {
    let app = Origin::saying("here");
    let mesh = abandoned(&app);
    let callers = 50;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| refusals(&mesh, 4));
        }
    });
    // Were there a queue, each would wait for those before it.
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}
