use super::tokens::Settings;
use super::*;

const NOW: Now = Now { mono: Duration::from_secs(1000), unix: 1_700_000_000 };
const KEY: &str = "a-key-for-programs";
const SECOND: Duration = Duration::from_secs(1);

fn access(policy: Policy, per_second: u32) -> Access {
    let settings = Settings { secrets: vec![], keys: None, audience: "byway".to_owned() };
    Access {
        policy,
        tokens: Tokens::new(&settings, &["north-north-north"]).unwrap(),
        api_keys: ApiKeys::new(&["another-key-for-programs", KEY]),
        limiter: KeyedRateLimiter::new(per_second, Duration::from_secs(10), 7),
        is_draining: Box::new(|| false),
    }
}

fn client(n: u8) -> IpAddr {
    [192, 0, 2, n].into()
}

fn room(name: &str) -> RoomName {
    RoomName::new(name.to_owned()).unwrap()
}

#[test]
fn guesses_cost_as_much_as_credentials() {
    let access = access(Policy::Token, 1);
    let asked = |secret: &str, n| {
        access.charge_newcomer(NOW, client(n))?;
        access.caller(NOW, &Proof::Bearer(secret.into()))
    };
    for _ in 0..10 {
        assert_eq!(asked("guess", 1), Err(Refused::Token(TokenError::Bad)));
    }
    assert_eq!(asked("guess", 1), Err(Refused::RateLimited(SECOND)));
    assert_eq!(asked(KEY, 1), Err(Refused::RateLimited(SECOND)));
    assert_eq!(asked(KEY, 2), Ok(Caller::Program));
}

#[test]
fn a_join_is_charged_before_its_token_is_checked_and_shares_the_limit_of_http() {
    let access = access(Policy::Token, 1);
    let tea = Grant::new("tea".to_owned(), None, None).unwrap();
    let token = access.tokens.issue(NOW, tea.clone(), 60 * SECOND).0;
    let join = |name: &str, token| access.join(NOW, client(1), &room(name), token);
    assert_eq!(join("tea", None), Err(Refused::TokenRequired));
    assert_eq!(join("tea", Some("guess")), Err(Refused::Token(TokenError::Bad)));
    assert_eq!(join("oak", Some(&token)), Err(Refused::WrongRoom));
    assert_eq!(join("tea", Some(KEY)), Err(Refused::Token(TokenError::Bad)), "a key opens no room");
    assert_eq!(join("tea", Some(&token)), Ok(Some(tea)));
    for _ in 0..5 {
        assert_eq!(access.charge_newcomer(NOW, client(1)), Ok(()));
    }
    assert_eq!(join("tea", Some(&token)), Err(Refused::RateLimited(SECOND)));
}

#[test]
fn open_access_asks_a_member_for_nothing() {
    assert_eq!(access(Policy::Open, 0).join(NOW, client(1), &room("tea"), Some("guess")), Ok(None));
}

#[test]
fn a_protocol_without_a_place_for_tokens_needs_open_access() {
    assert_eq!(access(Policy::Open, 0).without_token(NOW, client(1)), Ok(()));
    let draining = Access { is_draining: Box::new(|| true), ..access(Policy::Open, 0) };
    assert_eq!(draining.without_token(NOW, client(1)), Err(Refused::Draining));
    let draining = Access { policy: Policy::Token, ..draining };
    assert_eq!(
        draining.without_token(NOW, client(1)),
        Err(Refused::NoPlaceForToken),
        "the policy comes first"
    );
}

#[test]
fn nobody_but_programs_is_let_in_at_the_end() {
    let running = access(Policy::Open, 0);
    assert_eq!(running.charge_newcomer(NOW, client(1)), Ok(()));
    let draining = Access { is_draining: Box::new(|| true), ..running };
    assert_eq!(draining.charge_newcomer(NOW, client(1)), Err(Refused::Draining));
    assert_eq!(draining.program(NOW, client(1), &Proof::Bearer(KEY.into())), Ok(()));
}

#[test]
fn keys_stay_out_of_logs() {
    assert_eq!(format!("{:?}", ApiKeys::new(&[KEY])), "ApiKeys(1 redacted)");
    let told = format!("{:?}", access(Policy::Open, 0));
    assert!(!told.contains("north") && !told.contains("key-for"), "{told}");
}
