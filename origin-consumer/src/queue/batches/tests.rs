use super::*;
use crate::objects::samples::notification;

const LIMITS: ClaimLimits = ClaimLimits {
    objects: 100,
    spans: 1_000,
    bytes: 1 << 20,
    delay: Duration::ZERO,
    lease: Duration::from_secs(30),
};
const NOW: UnixMillis = UnixMillis(1_795_200_000_000);
const LATER: UnixMillis = UnixMillis(NOW.0 + 3_600_000);

async fn claimed(objects: u64) -> (Queue, Batch) {
    let queue = Queue::in_memory(0).await.unwrap();
    for n in 0..objects {
        // Received after the ledger was made: nobody else can have stored it.
        let future = crate::time::now().0;
        queue.enqueue(notification("acme", future + n, 1), NOW).await.unwrap();
    }
    let batch = queue.claim(LIMITS, NOW).await.unwrap().batch().unwrap();
    assert!(!batch.look_first);
    (queue, batch)
}

fn setback(batch: &Batch) -> Vec<Setback> {
    let object_key = batch.objects[0].notification.object_key.clone();
    vec![Setback { object_key, fault: Fault::Poison, reason: "bad".to_owned() }]
}

#[tokio::test]
async fn an_object_that_was_replayed_and_set_back_is_looked_for() {
    let (queue, batch) = claimed(2).await;
    queue.ack(&batch, NOW).await.unwrap();
    let objects = batch.objects.iter().map(|object| object.notification.clone()).collect();
    let adopted = queue.adopt(objects, LIMITS.lease, NOW).await.unwrap().batch.unwrap();
    queue.set_back(&adopted, setback(&adopted), 5, NOW).await.unwrap();
    // First the one beside it, then itself.
    for at in [NOW, LATER] {
        let again = queue.claim(LIMITS, at).await.unwrap().batch().unwrap();
        assert_eq!(again.objects.len(), 1);
        assert!(again.look_first);
    }
}

#[tokio::test]
async fn the_halves_of_a_batch_whose_first_insert_was_refused_are_looked_for() {
    let (queue, batch) = claimed(4).await;
    queue.begin_insert(&batch, LATER).await.unwrap();
    queue.split(&batch, NOW).await.unwrap();
    for _ in 0..2 {
        let half = queue.claim(LIMITS, NOW).await.unwrap().batch().unwrap();
        assert!(half.look_first);
        // Nothing of the halves themselves has begun, so all of them waits again.
        queue.set_back(&half, setback(&half), 5, NOW).await.unwrap();
    }
    for at in [NOW, LATER] {
        let again = queue.claim(LIMITS, at).await.unwrap().batch().unwrap();
        assert_eq!(again.objects.len(), 2);
        assert!(again.look_first);
    }
}

#[tokio::test]
async fn an_object_whose_first_insert_was_refused_is_looked_for() {
    let (queue, batch) = claimed(1).await;
    queue.begin_insert(&batch, LATER).await.unwrap();
    queue.set_back(&batch, setback(&batch), 5, NOW).await.unwrap();
    assert!(queue.claim(LIMITS, LATER).await.unwrap().batch().unwrap().look_first);
}
