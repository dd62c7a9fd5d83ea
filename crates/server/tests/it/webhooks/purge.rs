//! What is kept of a customer's events goes, queued or over, on disk and in memory.

use std::time::Duration;

use hyper::Method;
use serde_json::json;

use super::{Scene, contact, send, settle};
use crate::receiver::Reply;
use crate::support::{body, event};

#[tokio::test]
async fn p01_events_of_a_customer_go_with_their_deliveries_and_attempts_and_others_stay() {
    let mut scene = Scene::start().await;
    let subscription =
        scene.subscribe(json!({"profile": "standard", "url": scene.receiver.url("/a"), "topicIds": ["contacts.created"], "customerIds": ["ABC", "DEF"]})).await;
    scene.receiver.usually("/a", Reply::Status(500));
    scene.take(&contact("ABC", "theirs")).await;
    scene.take(&contact("DEF", "another's")).await;
    scene.attempts(&subscription, 2).await;
    scene.take(&contact("ABC", "the newest")).await;
    scene.attempts(&subscription, 3).await;
    settle(&scene).await;
    let asked = json!({"customerId": "ABC"});
    let gone = body(&send(&mut scene.operator(), Method::POST, "/purge", &asked).await);
    assert_eq!((&gone["webhookEvents"], &gone["webhookDeliveries"]), (&json!(2), &json!(2)), "{gone}");
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_deliveries_queued"), 1.0);
    assert_eq!(scene.attempts(&subscription, 1).await.len(), 1, "the log of what went is gone as well");
    let again = body(&send(&mut scene.operator(), Method::POST, "/purge", &asked).await);
    assert_eq!(again["webhookEvents"], 0);
    scene.receiver.usually("/a", Reply::Status(200));
    scene.leap(Duration::from_secs(3600));
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 4, "only another's was sent again");
    let mut scene = scene.restart(|_| ()).await;
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_deliveries_queued"), 0.0, "so is the disk's count");
    scene.take(&contact("ABC", "later")).await;
    scene.receiver.wait_for("/a", 5).await;
    settle(&scene).await;
    assert_eq!(scene.attempts(&subscription, 3).await.len(), 3, "numbers of events are not given again");
}

#[tokio::test]
async fn p02_of_a_negotiator_goes_what_names_them() {
    let mut scene = Scene::start().await;
    let wish = json!({
        "profile": "standard", "url": scene.receiver.url("/a"), "topicIds": ["telephony.incomingCall", "telephony.missedCall"],
        "customerIds": ["SBOX"],
    });
    scene.subscribe(wish).await;
    for targets in [["ADV"], ["TST"]] {
        assert_eq!(scene.node.post(event("incomingCall", &targets).to_string(), &[]).await.status, 202);
        assert_eq!(scene.node.post(event("missedCall", &targets).to_string(), &[]).await.status, 202);
    }
    scene.receiver.wait_for("/a", 4).await;
    settle(&scene).await;
    let asked = json!({"customerId": "SBOX", "negotiatorId": "ADV"});
    let gone = body(&send(&mut scene.operator(), Method::POST, "/purge", &asked).await);
    assert_eq!(
        (&gone["webhookEvents"], &gone["missedCalls"], &gone["resumableEvents"]),
        (&json!(2), &json!(1), &json!(1)),
        "{gone}"
    );
    assert_eq!((&gone["liveCalls"], &gone["receipts"]), (&json!(0), &json!(1)), "it was missed: {gone}");
    let others = body(&send(&mut scene.operator(), Method::POST, "/purge", &json!({"customerId": "SBOX"})).await);
    assert_eq!((&others["webhookEvents"], &others["missedCalls"], &others["resumableEvents"]), (&json!(2), &json!(1), &json!(1)));
}
