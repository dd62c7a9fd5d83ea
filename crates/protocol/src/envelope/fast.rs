//! Nearly every body is as it should be. Such a one is read here, straight into its members; whatever is not taken here is read
//! thoroughly, which tells every fault. Each text is held against the same rules on both ways.

use std::fmt;
use std::marker::PhantomData;

use arrayvec::ArrayVec;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Envelope, KnownProducts, PRODUCTS_MAX, Products, TARGETS_MAX, TELEPHONY};
use crate::id::NegotiatorId;
use crate::payload::{Payload, SubType, Texts};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Members<'a> {
    r#type: &'a str,
    sub_type: &'a str,
    #[serde(borrow)]
    products: ArrayVec<&'a str, PRODUCTS_MAX>,
    #[serde(deserialize_with = "object")]
    targets: Targets,
    #[serde(borrow, deserialize_with = "object")]
    payload: Texts<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Targets {
    #[serde(deserialize_with = "targets")]
    negotiator_id: Vec<NegotiatorId>,
}

/// Reads a body that is as it should be; `None` says nothing of one.
pub(super) fn read<'a>(body: &'a [u8], known: &KnownProducts) -> Option<Envelope<'a>> {
    let mut json = serde_json::Deserializer::from_str(std::str::from_utf8(body).ok()?);
    let members: Members<'a> = object(&mut json).ok()?;
    json.end().ok()?;
    let sub_type = SubType::ALL.into_iter().find(|sub_type| sub_type.name() == members.sub_type)?;
    let products = products(&members.products, known)?;
    let payload = Payload::of_texts(members.payload, sub_type)?;
    (members.r#type == TELEPHONY).then_some(Envelope { sub_type, products, targets: members.targets.negotiator_id, payload })
}

/// An object, and nothing else: what is derived takes a list of the values, too.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    json.deserialize_map(Object(PhantomData))
}

fn products(names: &[&str], known: &KnownProducts) -> Option<Products> {
    let mut products = ArrayVec::<_, PRODUCTS_MAX>::new();
    for name in names {
        let product = known.find(name)?;
        if !products.contains(product) {
            products.try_push(*product).ok()?;
        }
    }
    (!products.is_empty()).then(|| known.list(&products))
}

/// 1 to [`TARGETS_MAX`] names, each of them once. What is wrong with them is told by who reads thoroughly.
fn targets<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<NegotiatorId>, D::Error> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<NegotiatorId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "1 to {TARGETS_MAX} names, each once")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
            let mut targets = Vec::new();
            while let Some(name) = names.next_element::<&str>()? {
                let target = NegotiatorId::parse(name).map_err(A::Error::custom)?;
                if targets.contains(&target) || targets.len() == TARGETS_MAX {
                    return Err(A::Error::custom("too many, or one twice"));
                }
                targets.push(target);
            }
            if targets.is_empty() { Err(A::Error::custom("none")) } else { Ok(targets) }
        }
    }

    json.deserialize_seq(Names)
}
