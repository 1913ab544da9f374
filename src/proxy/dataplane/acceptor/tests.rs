//! The acceptor: who gets a connection, and who gets none.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::mpsc;

use super::*;
use crate::proxy::serve::tests::rig::{pair, run};

fn seat() -> (Seat, mpsc::Receiver<Arrival>) {
    let (sender, receiver) = mpsc::channel(8);
    (Seat { sender, load: Arc::new(AtomicUsize::new(0)) }, receiver)
}

#[test]
fn a_worker_that_has_ended_gets_no_connections() {
    run(async {
        let ((dead, gone), (alive, mut arrivals)) = (seat(), seat());
        drop(gone);
        let seats = Seats { seats: vec![dead, alive], calls: Arc::default(), most: 8 };
        for _ in 0..2 {
            hand_over(pair().await.0, Role::Inbound, &seats).await;
            assert!(arrivals.try_recv().is_ok());
        }
    });
}

#[test]
fn what_is_over_the_limit_is_closed() {
    run(async {
        let (only, mut arrivals) = seat();
        let seats = Seats { seats: vec![only], calls: Arc::default(), most: 1 };
        hand_over(pair().await.0, Role::Inbound, &seats).await;
        hand_over(pair().await.0, Role::Inbound, &seats).await;
        assert!(arrivals.try_recv().is_ok() && arrivals.try_recv().is_err());
    });
}
