//! A node whose sessions say everything back, for the conformance suite of the WebSocket protocol: listener, hand-shake, token and
//! socket are those of the program. Prints its address and a token; runs until standard input ends.
#![expect(clippy::print_stdout, reason = "says where it listens")]

use std::error::Error;

use clock::Clock;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use server::app::App;
use server::config::{Config, DEV_ISSUER, Flags, dev_secret};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let anywhere = Some("127.0.0.1:0".to_owned());
    let data = Some(folder.path().to_owned());
    let flags = Flags { config: None, dev: true, listen: anywhere.clone(), ops_listen: anywhere, data };
    let app = App::bind(Config::load(&flags)?, Clock::system()).await?;
    let expires = Timestamp::now().as_second() + 3600;
    let claims = json!({"iss": DEV_ISSUER, "exp": expires, "customerId": "SBOX", "negotiatorId": "ADV"});
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(dev_secret().expose()))?;
    println!("{} {token}", app.addresses()?.0);
    let (ended, stop) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _bytes = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(ended);
    });
    Ok(app.run(async { drop(stop.await) }).await?)
}
