//! Both sides of SCRAM against RFC 7677, against each other, and against rubbish.

use proptest::prelude::*;

use super::*;
use crate::auth::client::{Client, ClientError};
use crate::auth::{SaltedPassword, fake_verifier};

const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &[u8] =
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
const SERVER_NONCE: &[u8] = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

fn pencil() -> Verifier {
    Verifier::parse("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=").unwrap()
}

fn begin(first: &[u8], verifier: &Verifier) -> (Handshake, Vec<u8>) {
    let mut out = [0; SERVER_MESSAGE_MAX];
    let first = ClientFirst::parse(first).unwrap();
    let (handshake, length) = Handshake::begin(&first, verifier, SERVER_NONCE, &mut out).unwrap();
    (handshake, out[..length].to_vec())
}

/// What the server says to that last message in the RFC's handshake.
fn finish_with(message: impl AsRef<[u8]>) -> Result<Vec<u8>, ScramError> {
    let mut out = [0; 46];
    let (handshake, _) = begin(CLIENT_FIRST, &pencil());
    let length = handshake.finish(message.as_ref(), &mut out)?;
    Ok(out[..length].to_vec())
}

/// A whole login; the client's view of it, or the server's refusal.
fn login(
    client: &mut Client,
    verifier: &Verifier,
    nonce: &[u8],
    password: &[u8],
) -> Result<Result<(), ClientError>, ScramError> {
    let (mut from_client, mut from_server) = ([0; 512], [0; SERVER_MESSAGE_MAX]);
    let length = client.first(&mut from_client).unwrap();
    let first = ClientFirst::parse(&from_client[..length])?;
    let (handshake, length) = Handshake::begin(&first, verifier, nonce, &mut from_server)?;
    let length = client
        .respond(&from_server[..length], password, &mut from_client)
        .unwrap();
    let length = handshake.finish(&from_client[..length], &mut from_server)?;
    Ok(client.verify(&from_server[..length]))
}

#[test]
fn speaks_the_example_of_rfc_7677() {
    assert_eq!(&*ClientFirst::parse(CLIENT_FIRST).unwrap().name, "user");
    assert_eq!(begin(CLIENT_FIRST, &pencil()).1, SERVER_FIRST);
    assert_eq!(finish_with(CLIENT_FINAL), Ok(SERVER_FINAL.to_vec()));

    let mut out = [0; 256];
    let mut client = Client::new("user", "rOprNGfwEbeRWgbNEkqO").unwrap();
    let length = client.first(&mut out).unwrap();
    assert_eq!(&out[..length], CLIENT_FIRST);
    let length = client.respond(SERVER_FIRST, b"pencil", &mut out).unwrap();
    assert_eq!(&out[..length], CLIENT_FINAL.as_bytes());
    assert_eq!(client.verify(SERVER_FINAL), Ok(()));
}

#[test]
fn the_first_message_has_variants() {
    for (message, name) in [
        ("n,,n=bob,r=x", "bob"),
        ("y,,n=bob,r=x", "bob"),
        ("n,a=bob,n=bob,r=x", "bob"),
        ("n,a=BOB,n=bob,r=x", "bob"),
        ("n,,n=bob,r=x,e=extension", "bob"),
        ("n,,n=a=2Cb=3Dc,r=x", "a,b=c"),
        ("n,,n=阿明,r=x", "阿明"),
        ("n,,n=bob,r=x=y", "bob"),
    ] {
        let first = ClientFirst::parse(message.as_bytes()).unwrap();
        assert_eq!(&*first.name, name, "{message}");
    }
    let long =
        |name: usize, nonce: usize| format!("n,,n={},r={}", "n".repeat(name), "r".repeat(nonce));
    assert!(ClientFirst::parse(long(NAME_MAX, CLIENT_NONCE_MAX).as_bytes()).is_ok());
    for message in [long(NAME_MAX + 1, 1), long(1, CLIENT_NONCE_MAX + 1)] {
        let error = ClientFirst::parse(message.as_bytes()).unwrap_err();
        assert_eq!(error, ScramError::Malformed);
    }
}

#[test]
fn the_first_message_is_refused() {
    use ScramError::*;
    for (message, error) in [
        (b"" as &[u8], Malformed),
        (b"n", Malformed),
        (b"n,", Malformed),
        (b",,", Malformed),
        (b"n,,", Malformed),
        (b"x,,n=bob,r=x", Malformed),
        (b"nn,,n=bob,r=x", Malformed),
        (b"p,,n=bob,r=x", Malformed),
        (b"p=tls-unique,,n=bob,r=x", Unsupported),
        (b"n,b=bob,n=bob,r=x", Malformed),
        (b"n,a=,n=bob,r=x", Malformed),
        (b"n,a=ann,n=bob,r=x", Identity),
        (b"n,,m=must,n=bob,r=x", Unsupported),
        (b"n,,n=bob,r=x,m=must", Unsupported),
        (b"n,,r=x,n=bob", Malformed),
        (b"n,,n=bob", Malformed),
        (b"n,,n=,r=x", Malformed),
        (b"n,,n=bob,r=", Malformed),
        (b"n,,n=bob,r=x,", Malformed),
        (b"n,,n=bob,r=x,e=", Malformed),
        (b"n,,n=bob,r=x,1=extension", Malformed),
        (b"n,,n=bob,r=x y", Malformed),
        (b"n,,n=bob,r=x\x7f", Malformed),
        (b"n,,n=bob,r=\xc3\xa9", Malformed),
        (b"n,,n=bo=b,r=x", Malformed),
        (b"n,,n=bob=,r=x", Malformed),
        (b"n,,n=bob=2,r=x", Malformed),
        (b"n,,n=bob=2c,r=x", Malformed),
        (b"n,,n=bob=00,r=x", Malformed),
        (b"n,,n=b\0b,r=x", Malformed),
        (b"n,,n=\xff,r=x", Malformed),
        (b"n,,n=bob=2\xc3\xa9,r=x", Malformed),
        (b"N,,N=bob,R=x", Malformed),
    ] {
        let text = String::from_utf8_lossy(message);
        assert_eq!(ClientFirst::parse(message).unwrap_err(), error, "{text}");
    }
}

#[test]
fn the_last_message_is_refused() {
    use ScramError::*;
    for (from, to, error) in [
        ("p=dHzb", "p=dHzc", WrongProof),
        ("p=dHzb", "p=", Malformed),
        ("p=dHzb", "p=dHzbdHzb", Malformed),
        ("ndVQ=", "ndVR=", Malformed),
        ("ndVQ=", "ndVQ", Malformed),
        ("p=dHzb", "P=dHzb", Malformed),
        (",p=", "p=", Malformed),
        ("r=rOpr", "r=rOpR", WrongNonce),
        ("F$k0", "F$k", WrongNonce),
        ("F$k0", "F$k00", WrongNonce),
        ("r=rOpr", "r=", WrongNonce),
        ("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "", WrongNonce),
        ("c=biws", "c=eSws", WrongChannelBinding),
        ("c=biws", "c=", WrongChannelBinding),
        ("c=biws", "c=biw", Malformed),
        ("c=biws", "c=bi-s", Malformed),
        ("c=biws", "r=biws", Malformed),
        ("c=biws,", "", Malformed),
        ("c=biws,", ",c=biws,", Malformed),
        (",p=", ",x=1,p=", WrongProof),
        (",p=", ",m=1,p=", Unsupported),
        (",p=", ",,p=", Malformed),
    ] {
        let message = CLIENT_FINAL.replace(from, to);
        assert_ne!(message, CLIENT_FINAL);
        assert_eq!(finish_with(&message), Err(error), "{message}");
    }
    for message in [
        "",
        ",",
        ",,",
        "p=",
        ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    ] {
        assert_eq!(finish_with(message), Err(Malformed), "{message}");
    }
    let long = CLIENT_FINAL.replace("biws", &"biws".repeat(100));
    assert_eq!(finish_with(long), Err(WrongChannelBinding));
    // The first message again, where the last belongs.
    assert_eq!(finish_with(CLIENT_FIRST), Err(Malformed));
}

#[test]
fn every_byte_of_the_last_message_counts() {
    for index in 0..CLIENT_FINAL.len() {
        for bit in 0..8 {
            let mut message = CLIENT_FINAL.as_bytes().to_vec();
            message[index] ^= 1 << bit;
            assert!(finish_with(&message).is_err(), "bit {bit} of byte {index}");
        }
    }
}

#[test]
fn a_proof_is_of_one_handshake_only() {
    let mut out = [0; 46];
    let first = ClientFirst::parse(CLIENT_FIRST).unwrap();
    let mut message = [0; SERVER_MESSAGE_MAX];
    let nonce = server_nonce(&[9; 18]);
    let (handshake, _) = Handshake::begin(&first, &pencil(), &nonce, &mut message).unwrap();
    let replayed = CLIENT_FINAL.as_bytes();
    assert_eq!(
        handshake.finish(replayed, &mut out),
        Err(ScramError::WrongNonce)
    );

    // Somebody on the way changed the flag `y` into `n`.
    let (handshake, _) = begin(b"y,,n=user,r=rOprNGfwEbeRWgbNEkqO", &pencil());
    assert_eq!(
        handshake.finish(replayed, &mut out),
        Err(ScramError::WrongChannelBinding)
    );

    // Another name: the same verifier, another AuthMessage.
    let (handshake, _) = begin(b"n,,n=User,r=rOprNGfwEbeRWgbNEkqO", &pencil());
    assert_eq!(
        handshake.finish(replayed, &mut out),
        Err(ScramError::WrongProof)
    );
}

#[test]
fn other_identities_and_flags_log_in_too() {
    // The client knows one header only, so this one is made by hand.
    for header in ["y,,", "n,a=user,", "y,a=USER,"] {
        let text = format!("{header}n=user,r=abc");
        let first = ClientFirst::parse(text.as_bytes()).unwrap();
        let (mut out, mut binding) = ([0; SERVER_MESSAGE_MAX], [0; 64]);
        let (handshake, length) = Handshake::begin(&first, &pencil(), b"def", &mut out).unwrap();
        let binding = Base64::encode(header.as_bytes(), &mut binding).unwrap();
        let without_proof = format!("c={binding},r=abcdef,x=ignored");
        let server_first = std::str::from_utf8(&out[..length]).unwrap();
        let auth_message = format!("n=user,r=abc,{server_first},{without_proof}");
        let salted = SaltedPassword::derive(b"pencil", &pencil().salt, 4096);
        let key = salted.client_key();
        let signature = crate::auth::hash::hmac(&sha256(&[&key]), &[auth_message.as_bytes()]);
        let mut proof = [0; 44];
        let proof = Base64::encode(&xor(key, &signature), &mut proof).unwrap();
        let message = format!("{without_proof},p={proof}");
        let mut answer = [0; 46];
        assert_eq!(
            handshake.finish(message.as_bytes(), &mut answer),
            Ok(46),
            "{header}"
        );
    }
}

#[test]
fn small_buffers_and_bad_nonces_are_errors() {
    let first = ClientFirst::parse(CLIENT_FIRST).unwrap();
    let begin = |nonce: &[u8], size: usize| {
        Handshake::begin(&first, &pencil(), nonce, &mut vec![0; size]).map(|(_, length)| length)
    };
    assert_eq!(
        begin(SERVER_NONCE, SERVER_FIRST.len()),
        Ok(SERVER_FIRST.len())
    );
    for size in 0..SERVER_FIRST.len() {
        assert_eq!(begin(SERVER_NONCE, size), Err(ScramError::Buffer));
    }
    for nonce in [b"" as &[u8], b"a,b", b"a b", &[b'x'; SERVER_NONCE_MAX + 1]] {
        assert_eq!(begin(nonce, 300), Err(ScramError::Malformed));
    }
    for size in 0..46 {
        let (handshake, _) = super::tests::begin(CLIENT_FIRST, &pencil());
        let result = handshake.finish(CLIENT_FINAL.as_bytes(), &mut vec![0; size]);
        assert_eq!(result, Err(ScramError::Buffer));
    }
}

#[test]
fn the_longest_messages_fit() {
    let text = format!("n,,n=x,r={}", "r".repeat(CLIENT_NONCE_MAX));
    let first = ClientFirst::parse(text.as_bytes()).unwrap();
    let verifier = Verifier {
        iterations: u32::MAX,
        ..pencil()
    };
    let nonce = [b's'; SERVER_NONCE_MAX];
    let mut out = [0; SERVER_MESSAGE_MAX];
    let (_, length) = Handshake::begin(&first, &verifier, &nonce, &mut out).unwrap();
    assert_eq!(length, SERVER_MESSAGE_MAX);
    // And, in base64, in one AUTHENTICATE chunk.
    const { assert!(SERVER_MESSAGE_MAX.div_ceil(3) * 4 < crate::auth::sasl::CHUNK) };

    let escaped = "=3D".repeat(NAME_MAX);
    let header = format!("n,a={escaped},");
    assert_eq!(header.len(), GS2_MAX);
    let text = format!("{header}n={escaped},r=x");
    assert!(ClientFirst::parse(text.as_bytes()).is_ok());
}

#[test]
fn unknown_accounts_fail_like_wrong_passwords() {
    let fake = fake_verifier(&[3; 32], "nobody", 4096);
    let real = SaltedPassword::derive(b"a real password", &[4; 16], 4096).verifier();
    for verifier in [fake, real] {
        let mut client = Client::new("nobody", "abc").unwrap();
        let result = login(&mut client, &verifier, b"xyz", b"a guess");
        assert_eq!(result, Err(ScramError::WrongProof));
    }
}

#[test]
fn the_client_checks_the_server() {
    use ClientError::*;
    let mut out = [0; 256];
    let started = |out: &mut [u8]| {
        let mut client = Client::new("user", "rOprNGfwEbeRWgbNEkqO").unwrap();
        client.first(out).unwrap();
        client
    };
    let text = std::str::from_utf8(SERVER_FIRST).unwrap();
    for (from, to, error) in [
        ("r=rOpr", "r=ropr", ServerNonce),
        ("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "", ServerNonce),
        ("%hv", "% v", Malformed),
        ("i=4096", "i=4095", Iterations),
        ("i=4096", "i=4000000000", Iterations),
        ("i=4096", "i=40960000000", Iterations),
        ("i=4096", "i=-1", Malformed),
        ("i=4096", "i=", Malformed),
        (",i=4096", "", Malformed),
        ("s=W22Z", "s=", Malformed),
        ("gQ==", "gQ", Malformed),
        ("r=rOpr", "m=x,r=rOpr", Unsupported),
        ("i=4096", "i=4096,m=x", Malformed),
    ] {
        let message = text.replace(from, to);
        assert_ne!(message, text);
        let result = started(&mut out).respond(message.as_bytes(), b"pencil", &mut [0; 256]);
        assert_eq!(result, Err(error), "{message}");
    }
    for (answer, expected) in [
        (SERVER_FINAL, Ok(())),
        (
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
            Err(Malformed),
        ),
        (
            b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            Err(WrongServer),
        ),
        (b"v=", Err(Malformed)),
        (b"e=invalid-proof", Err(Refused)),
        (b"", Err(Malformed)),
    ] {
        let mut client = started(&mut out);
        client.respond(SERVER_FIRST, b"pencil", &mut out).unwrap();
        assert_eq!(client.verify(answer), expected);
        assert_eq!(client.verify(SERVER_FINAL), Err(Order));
    }
}

#[test]
fn the_client_keeps_order_and_bounds() {
    let mut out = [0; 256];
    assert_eq!(Client::new("", "x").err(), Some(ClientError::Name));
    assert_eq!(Client::new("a\nb", "x").err(), Some(ClientError::Name));
    assert_eq!(
        Client::new(&"n".repeat(65), "x").err(),
        Some(ClientError::Name)
    );
    assert_eq!(Client::new("a", "").err(), Some(ClientError::Nonce));
    assert_eq!(Client::new("a", "x,y").err(), Some(ClientError::Nonce));
    assert_eq!(
        Client::new("a", &"x".repeat(129)).err(),
        Some(ClientError::Nonce)
    );

    let mut client = Client::new("user", "rOprNGfwEbeRWgbNEkqO").unwrap();
    let early = client.respond(SERVER_FIRST, b"pencil", &mut out);
    assert_eq!(early, Err(ClientError::Order));
    assert_eq!(client.first(&mut [0; 31]), Err(ClientError::Buffer));
    assert_eq!(client.first(&mut out), Ok(CLIENT_FIRST.len()));
    assert_eq!(client.first(&mut out), Err(ClientError::Order));
    let other = SaltedPassword::derive(b"pencil", &[0; 16], 4096);
    let result = client.respond_salted(SERVER_FIRST, &other, &mut out);
    assert_eq!(result, Err(ClientError::OtherSalt));
    let salted = SaltedPassword::derive(b"pencil", &pencil().salt, 4096);
    for size in [0, 20, CLIENT_FINAL.len() - 1] {
        let result = client.respond_salted(SERVER_FIRST, &salted, &mut out[..size]);
        assert_eq!(result, Err(ClientError::Buffer));
    }
    let length = client
        .respond_salted(SERVER_FIRST, &salted, &mut out)
        .unwrap();
    assert_eq!(&out[..length], CLIENT_FINAL.as_bytes());
}

#[test]
fn server_nonces_are_nonces() {
    for random in [[0; 18], [0xff; 18], *b"eighteen bytes now"] {
        let nonce = server_nonce(&random);
        assert_eq!(wire::base64_exact::<18>(&nonce), Some(random));
        assert!(wire::is_nonce(&nonce));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_right_password_logs_in_and_no_other(
        name in "[a-z=,阿]{1,16}",
        nonce in "[!-+\\--~]{1,128}",
        random: [u8; 18],
        password in "\\PC{0,40}",
        other in "\\PC{0,40}",
        salt: [u8; 16],
        iterations in 4096u32..4200,
    ) {
        let verifier = SaltedPassword::derive(password.as_bytes(), &salt, iterations).verifier();
        let random = server_nonce(&random);
        let mut client = Client::new(&name, &nonce).unwrap();
        let result = login(&mut client, &verifier, &random, password.as_bytes());
        prop_assert_eq!(result, Ok(Ok(())));
        if other != password {
            let mut client = Client::new(&name, &nonce).unwrap();
            let result = login(&mut client, &verifier, &random, other.as_bytes());
            prop_assert_eq!(result, Err(ScramError::WrongProof));
        }
    }
}

/// Bytes that look enough like SCRAM to get somewhere.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b",".to_vec()),
        Just(b"n,,".to_vec()),
        Just(b"n=".to_vec()),
        Just(b"a=".to_vec()),
        Just(b"r=".to_vec()),
        Just(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".to_vec()),
        Just(b"c=biws,".to_vec()),
        Just(b"=2C".to_vec()),
        Just(b"s=W22ZaJ0SNY7soEsUEjb6gQ==".to_vec()),
        Just(b"i=4096".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
        "[ -~]{0,90}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nothing_panics(first in almost(), last in almost(), size in 0usize..300, nonce in proptest::collection::vec(any::<u8>(), 0..4)) {
        let mut out = vec![0; size];
        if let Ok(first) = ClientFirst::parse(&first) {
            if let Ok((handshake, length)) = Handshake::begin(&first, &pencil(), b"x", &mut out) {
                prop_assert!(length <= size);
                prop_assert!(handshake.finish(&last, &mut out).is_err());
            }
            let _ = Handshake::begin(&first, &pencil(), &nonce, &mut out);
        }
        prop_assert!(finish_with(&last).is_err());
        let salted = SaltedPassword::derive(b"", &[0; 16], 1);
        let mut client = Client::new("user", "r").unwrap();
        client.first(&mut [0; 20]).unwrap();
        let _ = client.respond_salted(&last, &salted, &mut out);
        let _ = client.verify(&last);
    }
}
