//! Factors: listed and removed.

use super::*;
use crate::operator::factors::Factors;

#[tokio::test]
async fn factors_are_listed_masked_and_removed_one_by_one() {
    let operator = operator();
    let anna = UserAdd {
        phone: Some(Secret::new("+4512345678")),
        email: Some(Secret::new("anna@example.org")),
        ..named("anna")
    };
    add(&operator, anna).await.unwrap();
    let factors = async || -> Factors {
        asked(&operator, "GET", "/v1/users/anna/factors", ())
            .await
            .unwrap()
    };
    let ids = |factors: &Factors| -> Vec<String> {
        factors
            .page
            .items
            .iter()
            .map(|one| one.id.clone())
            .collect()
    };
    let all = factors().await;
    assert_eq!(ids(&all), ["sms", "email"]);
    assert_eq!(all.page.items[0].to.as_deref(), Some("+45******78"));
    assert!(!all.page.items[0].enrolled);
    let remove = async |factor: &str| {
        let uri = format!("/v1/users/anna/factors/{factor}");
        asked::<Gone<String>>(&operator, "DELETE", &uri, ()).await
    };
    assert_eq!(remove("sms").await.unwrap().id, "sms");
    assert_eq!(ids(&factors().await), ["email"]);
    for gone in ["sms", "totp", "passkey-9", "passkey-x", "nonsense"] {
        assert_eq!(
            said(remove(gone).await),
            is(404, "no_such_factor", "path/factor")
        );
    }
    // Fifty at once: it is removed once.
    let racers: Vec<_> = (0..50)
        .map(|_| {
            let operator = operator.clone();
            let uri = "/v1/users/anna/factors/email";
            tokio::spawn(async move { call(&operator, "DELETE", uri, ()).await.0 })
        })
        .collect();
    let mut seen = Vec::new();
    for racer in racers {
        seen.push(racer.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!((seen[0], seen[1], seen[49]), (200, 404, 404));
    assert_eq!(ids(&factors().await), [""; 0]);
}
