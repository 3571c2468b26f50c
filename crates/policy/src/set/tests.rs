use super::*;

#[test]
fn shipped_set_runs_on_the_fast_engine() {
    let set = PolicySet::load(&Sources::embedded().unwrap(), &Config::default()).unwrap();
    assert_eq!(*set.engine(), Engine::Rvm);
}
