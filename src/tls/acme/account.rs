//! The account at the authority (RFC 8555 section 7.3): made once, then read from its file.

use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};

use super::AcmeSettings;
use super::client::AcmeClient;
use super::failure::Failure;
use super::state_files::StateFiles;

/// File of the account and its key.
pub(super) const ACCOUNT: &str = "account.json";

/// Content of the file.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Mail address that the authority has.
    mail: String,
    credentials: AccountCredentials,
}

/// Opens the stored account, or makes one.
pub(super) async fn open(
    client: &AcmeClient,
    settings: &AcmeSettings,
    files: &StateFiles,
) -> Result<Account, Failure> {
    let state = |error| Failure::state(&files.path(ACCOUNT), &error);
    let refused = |error| Failure::of(&error, settings, None).waiting(client.retry_after());
    let builder = || Account::builder_with_http(Box::new(client.clone()));
    let contact = (!settings.mail.is_empty()).then(|| format!("mailto:{}", settings.mail));
    let contact: Vec<&str> = contact.as_deref().into_iter().collect();

    let stored =
        files.read(ACCOUNT).map_err(state)?.map(|content| serde_json::from_slice::<Stored>(&content));
    match stored {
        Some(Ok(Stored { mail, credentials })) => {
            // The credentials cannot be copied, and the file needs them again.
            let again = serde_json::to_value(&credentials).and_then(serde_json::from_value);
            let account = builder().from_credentials(credentials).await.map_err(refused)?;
            if mail != settings.mail {
                account.update_contacts(&contact).await.map_err(refused)?;
                let credentials = again.map_err(|error| refused(error.into()))?;
                store(files, &Stored { mail: settings.mail.clone(), credentials }).map_err(state)?;
            }
            return Ok(account);
        }
        Some(Err(error)) => {
            tracing::warn!(
                "{}: {error}: it is kept aside, and a new account is made",
                files.path(ACCOUNT).display()
            );
            files.set_aside(ACCOUNT).map_err(state)?;
        }
        None => {}
    }
    // An account that cannot be stored would be made again and again.
    drop(files.reserve(ACCOUNT).map_err(state)?);
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let created = builder().create(&new, settings.directory.clone(), None).await;
    let (account, credentials) = created.map_err(refused)?;
    store(files, &Stored { mail: settings.mail.clone(), credentials }).map_err(state)?;
    Ok(account)
}

fn store(files: &StateFiles, stored: &Stored) -> std::io::Result<()> {
    let mut reserved = files.reserve(ACCOUNT)?;
    reserved.write(&serde_json::to_vec(stored)?)?;
    reserved.commit()
}
