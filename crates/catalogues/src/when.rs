//! Which changes of an entity fire a topic besides the one that they are reported under.

use serde::Deserialize;
use serde_json::Value;

/// When a status topic fires with a change of its entity.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Trigger {
    /// A value becomes one of these.
    Becomes {
        /// JSON pointer (RFC 6901) to the value.
        path: String,
        /// The values that it becomes.
        to: Vec<Value>,
        /// The values that it must have had; any other where there are none.
        #[serde(default)]
        from: Vec<Value>,
        /// Whether a new entity with such a value counts.
        created: bool,
    },
    /// A value differs between both versions.
    Changed {
        /// JSON pointer to the value.
        changed: String,
    },
    /// A value is there for the first time.
    Set {
        /// JSON pointer to the value.
        set: String,
        /// Whether a new entity that has it counts.
        created: bool,
    },
    /// All of these values that are there are true, at least one is there, and it was not so before.
    All {
        /// JSON pointers to the values.
        all: Vec<String>,
        /// Whether a new entity for which it is so counts.
        created: bool,
    },
}

impl Trigger {
    /// Whether the change from `old` (absent: a new entity) to `new` counts.
    #[must_use]
    pub fn fires(&self, old: Option<&Value>, new: &Value) -> bool {
        match self {
            Self::Becomes { path, to, from, created } => {
                let is_now = new.pointer(path).is_some_and(|value| to.contains(value));
                is_now
                    && old.map_or(*created, |old| {
                        let was = old.pointer(path).unwrap_or(&Value::Null);
                        !to.contains(was) && (from.is_empty() || from.contains(was))
                    })
            }
            Self::Changed { changed } => old.is_some_and(|old| value(old, changed) != value(new, changed)),
            Self::Set { set, created } => !value(new, set).is_null() && old.map_or(*created, |old| value(old, set).is_null()),
            Self::All { all, created } => all_true(new, all) && old.map_or(*created, |old| !all_true(old, all)),
        }
    }
}

fn value<'v>(of: &'v Value, path: &str) -> &'v Value {
    of.pointer(path).unwrap_or(&Value::Null)
}

fn all_true(of: &Value, paths: &[String]) -> bool {
    let mut there = paths.iter().map(|path| value(of, path)).filter(|value| !value.is_null()).peekable();
    there.peek().is_some() && there.all(|value| *value == Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_becomes_one_of_these_only_when_it_was_none_of_them() {
        let when: Trigger = serde_json::from_value(json!({"path": "/s", "to": ["a", "b"], "created": true})).unwrap();
        let (was, is) = (json!({"s": "x"}), json!({"s": "a"}));
        assert!(when.fires(Some(&was), &is));
        assert!(when.fires(None, &is));
        assert!(!when.fires(Some(&json!({"s": "b"})), &is), "from one to the other of them is nothing new");
        assert!(!when.fires(Some(&is), &was));
        assert!(when.fires(Some(&json!({})), &is));
        let existing: Trigger =
            serde_json::from_value(json!({"path": "/s", "to": ["a"], "from": ["x"], "created": false})).unwrap();
        assert!(!existing.fires(None, &is));
        assert!(existing.fires(Some(&was), &is));
        assert!(!existing.fires(Some(&json!({"s": "y"})), &is));
    }

    #[test]
    fn a_value_is_changed_set_or_all_true() {
        let rule = |rule: Value| serde_json::from_value::<Trigger>(rule).unwrap();
        let changed = rule(json!({"changed": "/a/b"}));
        assert!(changed.fires(Some(&json!({"a": {"b": 1}})), &json!({"a": {"b": 2}})));
        assert!(!changed.fires(Some(&json!({"a": {"b": 1}})), &json!({"a": {"b": 1}})));
        assert!(!changed.fires(None, &json!({"a": {"b": 2}})));
        let set = rule(json!({"set": "/d", "created": true}));
        assert!(set.fires(Some(&json!({"d": null})), &json!({"d": "x"})));
        assert!(!set.fires(Some(&json!({"d": "x"})), &json!({"d": "y"})), "for the first time only");
        assert!(!set.fires(None, &json!({"d": null})));
        let all = rule(json!({"all": ["/x", "/y"], "created": true}));
        assert!(all.fires(None, &json!({"x": true, "y": null})));
        assert!(!all.fires(None, &json!({"x": null})), "nobody had to confirm");
        assert!(!all.fires(Some(&json!({"x": true})), &json!({"x": true, "y": true})), "it was so before");
        assert!(all.fires(Some(&json!({"x": true, "y": false})), &json!({"x": true, "y": true})));
    }
}
