//! Endpoints that hang beside those that are new or answer, where slots are few.

use super::*;
use crate::receiver::Reply;

const LONG: Duration = Duration::from_millis(1100);

#[tokio::test]
async fn endpoints_that_hang_do_not_use_up_the_share_of_their_customer() {
    let mut scene = Scene::start_with(|config| config.webhooks.limits.in_flight_max = 16).await;
    let well = scene.standard("/well").await;
    scene.contact("first").await;
    scene.attempts(&well, 1).await;
    for number in 0..8 {
        let path = format!("/hang{number}");
        scene.receiver.usually(&path, Reply::Hang);
        scene.standard(&path).await;
    }
    for number in 0..10 {
        scene.contact(&number.to_string()).await;
    }
    // A quarter of 16 slots at a time is seen to hang.
    for hanging in [4.0, 8.0] {
        in_flight(&scene, hanging).await;
        scene.leap(LONG);
    }
    assert_eq!(scene.receiver.wait_for("/well", 11).await.len(), 11);
}

#[tokio::test]
async fn a_new_endpoint_is_not_held_up_by_those_that_hang() {
    let mut scene = Scene::start_with(|config| config.webhooks.limits.in_flight_max = 16).await;
    for number in 0..8 {
        let path = format!("/hang{number}");
        scene.receiver.usually(&path, Reply::Hang);
        let wish = with(standard(&scene.receiver.url(&path)), json!({"customerIds": ["ABC"]}));
        scene.subscribe(wish).await;
    }
    scene.contact("hang").await;
    in_flight(&scene, 4.0).await;
    scene.subscribe(with(standard(&scene.receiver.url("/well")), json!({"customerIds": ["DEF"]}))).await;
    scene.take(&contact("DEF", "well")).await;
    assert_eq!(scene.receiver.wait_for("/well", 1).await.len(), 1);
}
