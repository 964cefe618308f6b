use serde_json::{Value, json};

use super::*;

fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_slice(&encode(&Policy::default())).unwrap();
    change(&mut value);
    decode(value.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_policy_survives_its_entry() {
    let policy = Policy::default();
    assert_eq!(decode(&encode(&policy)).unwrap(), policy);
    assert_eq!(hash(&decode(&encode(&policy)).unwrap()), hash(&policy));
}

#[test]
fn the_hash_is_fnv_1a() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn every_part_of_a_policy_counts_in_its_hash() {
    let of = |change: fn(&mut Policy)| {
        let mut policy = Policy::default();
        change(&mut policy);
        hash(&policy)
    };
    let hashes = std::collections::BTreeSet::from([
        of(|_| {}),
        of(|policy| policy.default_profile = "seed".into()),
        of(|policy| policy.profiles[0].1.idle_after += 1),
        of(|policy| policy.profiles[0].1.promise = None),
        of(|policy| policy.blind_after += 1),
        of(|policy| policy.reconnect_grace += 1),
        of(|policy| policy.capabilities.reverse()),
        of(|policy| policy.limits.sessions_per_user -= 1),
    ]);
    assert_eq!(hashes.len(), 8);
}

#[test]
fn what_this_engine_does_not_know_refuses_the_policy() {
    assert!(changed(|value| value["half_life"] = json!(1)).contains("unknown field `half_life`"));
    assert!(changed(|value| value["profiles"]["web"]["mercy"] = json!(1)).contains("unknown field `mercy`"));
    assert_eq!(
        changed(|value| *value = json!({"v": 2, "all": "new"})),
        "version 2 of the contract, this engine reads version 1"
    );
}

#[test]
fn a_policy_out_of_its_ranges_is_refused_with_value_and_range() {
    let error = changed(|value| value["profiles"]["web"]["idle_after_ms"] = json!(0));
    assert!(error.starts_with("profile.web.idle_after is 0, allowed are 1 to"), "{error}");
    let huge = vec![b' '; POLICY_BYTES_MAX + 1];
    assert_eq!(decode(&huge).unwrap_err().to_string(), "262145 bytes are above the limit of 262144");
}
