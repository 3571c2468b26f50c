use super::*;

/// Every builtin that regorus registers with the features of this program.
const ARITIES: [(usize, &str); 5] = [
    (0, "time.now_ns"),
    (
        1,
        "abs array.reverse base64.decode base64.encode base64.is_valid base64url.decode base64url.encode \
         base64url.encode_no_pad bits.negate ceil count floor glob.quote_meta hex.decode hex.encode intersection \
         is_array is_boolean is_null is_number is_object is_set is_string json.is_valid json.marshal \
         json.unmarshal json.verify_schema lower max min net.cidr_expand net.cidr_is_valid object.keys \
         object.union_n product regex.is_valid round semver.is_valid sort strings.reverse sum time.clock \
         time.date time.format time.parse_duration_ns time.parse_rfc3339_ns time.weekday to_number trace \
         trim_space type_name union units.parse units.parse_bytes upper urlquery.decode urlquery.decode_object \
         urlquery.encode urlquery.encode_object uuid.parse uuid.rfc4122 walk yaml.is_valid yaml.marshal \
         yaml.unmarshal",
    ),
    (
        2,
        "array.concat bits.and bits.lsh bits.or bits.rsh bits.xor concat contains endswith format_int \
         graph.reachable graph.reachable_paths indexof indexof_n json.filter json.marshal_with_options \
         json.match_schema json.remove net.cidr_contains numbers.range object.filter object.remove \
         object.subset object.union rand.intn regex.match regex.split semver.compare split sprintf startswith \
         strings.any_prefix_match strings.any_suffix_match strings.count strings.replace_n time.diff \
         time.parse_ns trim trim_left trim_prefix trim_right trim_suffix",
    ),
    (
        3,
        "array.slice glob.match numbers.range_step object.get regex.find_all_string_submatch_n regex.find_n \
         regex.replace replace substring",
    ),
    (4, "regex.template_match time.add_date"),
];

#[test]
fn every_builtin_tells_its_arity() {
    for (arity, names) in ARITIES {
        for name in names.split_whitespace() {
            assert_eq!(Builtin::named(name), Builtin::Takes(arity), "{name}");
        }
    }
    assert_eq!(Builtin::named("print"), Builtin::Variadic);
    assert_eq!(Builtin::named("http.send"), Builtin::Unknown);
    assert_eq!(Builtin::named("nonsense"), Builtin::Unknown);
}
