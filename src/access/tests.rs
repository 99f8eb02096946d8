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
        limiter: Arc::new(KeyedRateLimiter::new(per_second, Duration::from_secs(10), 7)),
        is_draining: Arc::new(|| false),
        counters: Arc::default(),
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
fn a_guest_of_a_host_gets_its_room_limit_and_region_for_a_bounded_time() {
    let access = access(Policy::Token, 1);
    let region = Some("eu".parse::<Region>().unwrap());
    let asked = |ttl: Option<Duration>, viewer| {
        let invitation =
            HostInvitation { room: room("tea"), max_members: Some(3), region: region.clone(), viewer, ttl };
        access.invite(NOW, client(1), invitation)
    };
    let week = Duration::from_secs(7 * 24 * 3600);
    for (ttl, viewer, lifetime) in [
        (None, false, 3600),
        (Some(SECOND), true, 1),
        (Some(week), false, week.as_secs()),
        (Some(week + SECOND), false, week.as_secs()),
        (Some(Duration::MAX), true, week.as_secs()),
    ] {
        let (token, end) = asked(ttl, viewer).unwrap();
        assert_eq!(end - NOW.unix, lifetime, "{ttl:?}");
        let role = if viewer { Role::Viewer } else { Role::Member };
        let guest =
            Grant { room: room("tea"), name: None, max_members: Some(3), role, region: region.clone() };
        assert_eq!(access.tokens.check(NOW, &token), Ok(guest));
    }
    for _ in 0..5 {
        assert_eq!(access.charge_newcomer(NOW, client(1)), Ok(()));
    }
    assert_eq!(asked(None, false), Err(Refused::RateLimited(SECOND)), "the limit is that of all requests");
}

#[test]
fn threat_53_an_operator_invites_and_enters_nothing_itself() {
    let access = access(Policy::Token, 0);
    let tea = Grant::new("tea".to_owned(), None, None).unwrap();
    let issue = |role| access.tokens.issue(NOW, tea.clone().with_role(role), 60 * SECOND).0;
    let operator = access.tokens.issue_operator(NOW, 60 * SECOND).0;
    let proof = Proof::Bearer(operator.as_str().into());
    let inviter = |access: &Access, proof: &Proof<'_>| access.inviter(NOW, client(1), proof);
    assert_eq!(inviter(&access, &proof), Ok(Inviter::Operator));
    assert_eq!(inviter(&access, &Proof::Bearer(KEY.into())), Ok(Inviter::Program));
    assert_eq!((Inviter::Operator.max_ttl(), Inviter::Program.max_ttl()), (MAX_HOST_TTL, MAX_TTL));
    for role in [Role::Member, Role::Host, Role::Viewer] {
        let proof = Proof::Bearer(issue(role).into());
        assert_eq!(inviter(&access, &proof), Err(Refused::BadApiKey), "{role:?}");
    }
    for (proof, refused) in [
        (Proof::None, Refused::ApiKeyRequired),
        (Proof::Bearer("guess".into()), Refused::BadApiKey),
        (Proof::Password(operator.as_str().into()), Refused::BadApiKey),
        (Proof::Field(&operator), Refused::BadApiKey),
    ] {
        assert_eq!(inviter(&access, &proof), Err(refused), "{proof:?}");
    }
    let late = Now { unix: NOW.unix + 60, ..NOW };
    let expired = access.inviter(late, client(1), &proof);
    assert_eq!(expired, Err(Refused::Token(TokenError::Expired)));

    let no_room = Refused::Token(TokenError::NoRoom);
    assert_eq!(access.join(NOW, client(1), &room("tea"), Some(&operator)), Err(no_room));
    assert_eq!(access.caller(NOW, &proof), Err(no_room));
    assert_eq!(access.program(NOW, client(1), &proof), Err(Refused::BadApiKey));

    let draining = Access { is_draining: Arc::new(|| true), ..access };
    assert_eq!(inviter(&draining, &proof), Err(Refused::Draining));
    assert_eq!(inviter(&draining, &Proof::Bearer(KEY.into())), Ok(Inviter::Program));
}

#[test]
fn guesses_at_an_operators_token_are_charged() {
    let access = access(Policy::Token, 1);
    for _ in 0..5 {
        let guess = access.inviter(NOW, client(1), &Proof::Bearer("guess".into()));
        assert_eq!(guess, Err(Refused::BadApiKey));
        let shown = access.bearer(NOW, client(1), &Proof::Bearer("guess".into()));
        assert_eq!(shown, Err(Refused::Token(TokenError::Bad)));
    }
    let proof = Proof::Bearer(access.tokens.issue_operator(NOW, SECOND).0.into());
    assert_eq!(access.inviter(NOW, client(1), &proof), Err(Refused::RateLimited(SECOND)));
    assert_eq!(access.bearer(NOW, client(1), &proof), Err(Refused::RateLimited(SECOND)));
    assert_eq!(access.bearer(NOW, client(2), &proof), Ok((Rights::Operator, NOW.unix + 1)));
    assert_eq!(access.bearer(NOW, client(2), &Proof::None), Err(Refused::TokenRequired));
}

#[test]
fn open_access_asks_a_member_for_nothing() {
    assert_eq!(access(Policy::Open, 0).join(NOW, client(1), &room("tea"), Some("guess")), Ok(None));
}

#[test]
fn a_protocol_without_a_place_for_tokens_needs_open_access() {
    assert_eq!(access(Policy::Open, 0).without_token(NOW, client(1)), Ok(()));
    let draining = Access { is_draining: Arc::new(|| true), ..access(Policy::Open, 0) };
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
    let draining = Access { is_draining: Arc::new(|| true), ..running };
    assert_eq!(draining.charge_newcomer(NOW, client(1)), Err(Refused::Draining));
    assert_eq!(draining.program(NOW, client(1), &Proof::Bearer(KEY.into())), Ok(()));
}

#[test]
fn keys_stay_out_of_logs() {
    assert_eq!(format!("{:?}", ApiKeys::new(&[KEY])), "ApiKeys(1 redacted)");
    let told = format!("{:?}", access(Policy::Open, 0));
    assert!(!told.contains("north") && !told.contains("key-for"), "{told}");
}
