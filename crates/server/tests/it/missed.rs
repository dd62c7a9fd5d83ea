//! Missed calls: polled, page by page, and taken away.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

fn ids(page: &Value) -> Vec<String> {
    page["_embedded"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_missed_call_waits_until_it_is_taken_away_and_is_never_pushed() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    let answer = node.post(event("missedCall", &["ADV", "TST"]).to_string(), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (202, &b""[..]));
    assert_silent(&mut session).await;

    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    let page = body(&adv.get("/notifications", &[]).await);
    let item = &page["_embedded"][0];
    assert_eq!(item["created"], format!("{:.3}", node.clock.now()), "when the broker took it");
    let sent = event("missedCall", &[]);
    for member in ["type", "subType", "products", "payload"] {
        assert_eq!(item[member], sent[member]);
    }
    assert_eq!(page["_links"], json!({}));

    let mut tst = Caller::person(&node.api, "SBOX", "TST");
    let id = &ids(&page)[0];
    assert_eq!(tst.delete(id).await.status, 204, "not in a list of theirs");
    assert_eq!(ids(&body(&adv.get("/notifications/", &[]).await)), std::slice::from_ref(id));
    for _ in 0..2 {
        assert_eq!(adv.delete(id).await.status, 204);
    }
    assert!(ids(&body(&adv.get("/notifications", &[]).await)).is_empty());
    assert_eq!(ids(&body(&tst.get("/notifications", &[]).await)).len(), 1, "each target has its own");
    assert_eq!(adv.delete("no-such-id").await.status, 204);
}

#[tokio::test]
async fn pages_follow_each_other_by_their_links() {
    let node = TestNode::start().await;
    let mut provider = Caller::application(&node.api);
    for number in 0..60 {
        let mut call = event("missedCall", &["ADV"]);
        call["payload"]["id"] = json!(number.to_string());
        assert_eq!(provider.post(call.to_string(), &[]).await.status, 202);
    }
    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    let (mut path, mut numbers, mut pages) = ("/notifications".to_owned(), Vec::new(), Vec::new());
    loop {
        let page = body(&adv.get(&path, &[]).await);
        let items = page["_embedded"].as_array().unwrap();
        pages.push(items.len());
        numbers.extend(items.iter().map(|item| item["payload"]["id"].as_str().unwrap().to_owned()));
        match page["_links"]["next"]["href"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(pages, [25, 25, 10]);
    assert_eq!(numbers, (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
    let whole = body(&adv.get("/notifications?pageSize=60", &[]).await);
    assert_eq!((whole["_embedded"].as_array().unwrap().len(), &whole["_links"]), (60, &json!({})), "exactly one page");
}

#[tokio::test]
async fn queries_that_mean_nothing_are_refused() {
    let node = TestNode::start().await;
    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    for (query, status) in [
        ("pageSize=1", 200),
        ("pageSize=100", 200),
        ("negotiatorId=ADV", 200),
        ("pageSize=0", 400),
        ("pageSize=101", 400),
        ("pageSize=ten", 400),
        ("pageSize=1&pageSize=1", 400),
        ("after=xyz", 400),
        ("pagesize=5", 400),
        ("negotiatorId=A.V", 400),
        ("negotiatorId=TST", 403),
    ] {
        assert_eq!(adv.get(&format!("/notifications?{query}"), &[]).await.status.as_u16(), status, "{query}");
    }
}

#[tokio::test]
async fn an_application_reads_any_list_of_a_customer_if_it_may() {
    let node = TestNode::start().await;
    node.post(event("missedCall", &["ADV"]).to_string(), &[]).await;
    let mut application = Caller::application(&node.api);
    let page = body(&application.get("/notifications?negotiatorId=ADV", &[]).await);
    assert_eq!(ids(&page).len(), 1);
    assert_eq!(application.get("/notifications", &[]).await.status, 400, "whose?");
    let elsewhere = application.get("/notifications?negotiatorId=ADV", &[("reapit-customer", "OTHER")]).await;
    assert!(ids(&body(&elsewhere)).is_empty());
    let writer = token(&json!({"client_id": "app", "scope": "notifications.telephony.write"}));
    let mut writer = Caller { token: writer, ..Caller::application(&node.api) };
    assert_eq!(writer.get("/notifications?negotiatorId=ADV", &[]).await.status, 403);
    assert_eq!(writer.delete(&ids(&page)[0]).await.status, 204);
    assert!(ids(&body(&application.get("/notifications?negotiatorId=ADV", &[]).await)).is_empty());
    let reader = token(&json!({"client_id": "app", "scope": "notifications.telephony.read"}));
    assert_eq!(Caller { token: reader, ..Caller::application(&node.api) }.delete(&ids(&page)[0]).await.status, 403);
}

#[tokio::test]
async fn a_person_sees_what_named_the_product_of_the_token() {
    let node = TestNode::start().await;
    for products in [json!(["AgencyCloud"]), json!(["PropertyCloud"]), json!(["AgencyCloud", "PropertyCloud"])] {
        let mut call = event("missedCall", &["ADV"]);
        call["products"] = products;
        node.post(call.to_string(), &[]).await;
    }
    let mut agency = Caller::person(&node.api, "SBOX", "ADV");
    let mut property = Caller { token: person("SBOX", "ADV", "PropertyCloud"), ..Caller::person(&node.api, "SBOX", "ADV") };
    let seen =
        |page: Value| page["_embedded"].as_array().unwrap().iter().map(|item| item["products"].clone()).collect::<Vec<_>>();
    let both = json!(["AgencyCloud", "PropertyCloud"]);
    assert_eq!(seen(body(&agency.get("/notifications", &[]).await)), [json!(["AgencyCloud"]), both.clone()]);
    let answer = property.get("/notifications", &[]).await;
    assert_eq!(seen(body(&answer)), [json!(["PropertyCloud"]), both]);
    let etag = answer.header("etag").unwrap();
    assert_eq!(agency.get("/notifications", &[("if-none-match", etag)]).await.status, 200, "another product's tag");
}

#[tokio::test]
async fn a_poll_for_nothing_new_is_304_and_a_tag_never_stands_for_two_contents() {
    let node = TestNode::start().await;
    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    let mut tags = Vec::new();
    let empty = adv.get("/notifications", &[]).await.header("etag").unwrap().to_owned();
    for _ in 0..3 {
        node.post(event("missedCall", &["ADV"]).to_string(), &[]).await;
        let page = adv.get("/notifications", &[]).await;
        let tag = page.header("etag").unwrap().to_owned();
        for header in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let unchanged = adv.get("/notifications", &[("if-none-match", &header)]).await;
            assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
            assert_eq!(unchanged.header("etag"), Some(tag.as_str()));
        }
        assert_eq!(adv.get("/notifications?pageSize=1", &[("if-none-match", &tag)]).await.status, 200, "another page");
        assert!(!tags.contains(&tag) && tag != empty);
        tags.push(tag);
        adv.delete(&ids(&body(&page))[0]).await;
    }
    node.post(event("missedCall", &["TST"]).to_string(), &[]).await;
    assert_eq!(adv.get("/notifications", &[("if-none-match", &empty)]).await.status, 304, "empty again, and TST's is not theirs");

    let clock = node.clock.clone();
    let node = TestNode::start_in(node.stop().await, clock, |_| ()).await;
    node.post(event("missedCall", &["ADV"]).to_string(), &[]).await;
    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    let tag = adv.get("/notifications", &[]).await.header("etag").unwrap().to_owned();
    assert!(!tags.contains(&tag), "not after a restart either");
}

#[tokio::test]
async fn what_is_older_than_30_days_is_gone_after_a_restart() {
    let node = TestNode::start().await;
    node.post(event("missedCall", &["ADV"]).to_string(), &[]).await;
    let clock = node.clock.clone();
    let folder = node.stop().await;
    clock.advance(Duration::from_secs(30 * 24 * 3600 + 1));
    let node = TestNode::start_in(folder, clock, |_| ()).await;
    let late = token(&json!({"customerId": "SBOX", "negotiatorId": "ADV", "exp": 4_000_000_000_i64}));
    let mut adv = Caller { token: late, ..Caller::person(&node.api, "SBOX", "ADV") };
    // Housekeeping runs at the start, beside the first requests.
    let swept = async { while !ids(&body(&adv.get("/notifications", &[]).await)).is_empty() {} };
    tokio::time::timeout(PATIENCE, swept).await.expect("swept in time");
    assert_eq!(node.metrics().await.value("bellwire_missed_calls_expired_total"), 1.0);
}
