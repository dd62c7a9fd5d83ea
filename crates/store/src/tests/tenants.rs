//! Customers never mix, whatever is done.

use proptest::prelude::*;
use protocol::id::EventId;

use super::support::{call, recipient};
use super::{fresh, list};

#[derive(Debug, Clone)]
enum Step {
    Add { customer: usize, negotiators: Vec<usize> },
    Delete { customer: usize, place: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let negotiators = proptest::collection::btree_set(0..3_usize, 1..3).prop_map(|set| set.into_iter().collect());
    prop_oneof![
        (0..2_usize, negotiators).prop_map(|(customer, negotiators)| Step::Add { customer, negotiators }),
        (0..2_usize, 0..8_usize).prop_map(|(customer, place)| Step::Delete { customer, place }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Two customers with negotiators of the same names, posts and deletions at random, against plain lists.
    #[test]
    fn tenants_never_mix(steps in proptest::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = fresh();
            let names = ["ADV", "TST", "JAS"];
            let of = |customer: usize, negotiator: usize| recipient(["AAA", "BBB"][customer], names[negotiator]);
            let mut model = vec![vec![Vec::<i64>::new(); 3]; 2];
            let mut ids: Vec<(usize, EventId)> = Vec::new();
            for (second, step) in (1_i64..).zip(steps) {
                match step {
                    Step::Add { customer, negotiators } => {
                        let mut new = call(of(customer, 0), second);
                        new.negotiators = negotiators.iter().map(|&n| of(customer, n).negotiator).collect();
                        store.add_missed(new).await.unwrap();
                        for &n in &negotiators {
                            model[customer][n].push(second);
                            ids.push((customer, list(&store, of(customer, n)).await.calls.last().unwrap().id));
                        }
                    }
                    Step::Delete { customer, place } => {
                        let Some(&(owner, id)) = ids.get(place) else { continue };
                        let mut before = Vec::new();
                        for n in 0..3 { before.push(list(&store, of(owner, n)).await.calls); }
                        store.delete_missed(id, of(customer, 0).customer, None).await.unwrap();
                        if customer == owner {
                            for (n, calls) in before.iter().enumerate() {
                                if let Some(place) = calls.iter().position(|call| call.id == id) { model[owner][n].remove(place); }
                            }
                        }
                    }
                }
                for (customer, lists) in model.iter().enumerate() {
                    for (n, expected) in lists.iter().enumerate() {
                        let listed: Vec<_> = list(&store, of(customer, n)).await.calls.iter().map(|call| call.created.as_second()).collect();
                        assert_eq!(&listed, expected);
                    }
                }
            }
        });
    }
}
