//! The dashboard: it can be imported, and beside a real Prometheus no panel stays empty.

use super::*;

/// Every expression of the dashboard, its variables filled in, with its panel.
fn dashboard() -> Vec<(String, String)> {
    let board: Value =
        serde_json::from_str(&delivered("config/grafana/vestibule.json")).expect("JSON");
    let mut found = Vec::new();
    for panel in board["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${DS_PROMETHEUS}", "{title}");
            let expr = target["expr"].as_str().expect("expr");
            found.push((title.to_owned(), filled_in(expr)));
        }
    }
    for note in board["annotations"]["list"]
        .as_array()
        .expect("annotations")
    {
        found.push((
            "annotation".to_owned(),
            filled_in(note["expr"].as_str().expect("expr")),
        ));
    }
    found
}

/// As Grafana would: all gateways, all routes, an interval that suits the scraping.
fn filled_in(expr: &str) -> String {
    let filled = expr
        .replace("$instance", ".*")
        .replace("$route", ".*")
        .replace("$__rate_interval", "30s");
    assert!(!filled.contains('$'), "{expr}");
    filled
}

#[test]
fn the_dashboard_can_be_imported_and_no_panel_lies_on_another() {
    let board: Value =
        serde_json::from_str(&delivered("config/grafana/vestibule.json")).expect("JSON");
    assert_eq!(board["schemaVersion"], 39);
    assert_eq!(board["id"], Value::Null, "an import gives it one");
    assert_eq!(board["__inputs"][0]["name"], "DS_PROMETHEUS");
    assert_eq!(board["__inputs"][0]["pluginId"], "prometheus");
    let variables = board["templating"]["list"].as_array().expect("variables");
    let names: Vec<_> = variables
        .iter()
        .map(|it| it["name"].as_str().expect("name"))
        .collect();
    assert_eq!(names, ["instance", "route"]);
    let required = board["__requires"].as_array().expect("requires").iter();
    let required: BTreeSet<_> = required.map(|it| it["id"].as_str().expect("id")).collect();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in board["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("title");
        assert!(
            ids.insert(panel["id"].as_u64().expect("id")),
            "{title}: its id is taken"
        );
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("place");
        assert!(at("x") + at("w") <= 24, "{title}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{title} lies on another panel");
            }
        }
        let kind = panel["type"].as_str().expect("type");
        if kind == "row" {
            continue;
        }
        assert!(required.contains(kind), "{kind} is not in __requires");
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|it| it.len() > 10),
            "{title}"
        );
        assert!(panel["fieldConfig"]["defaults"].is_object() && panel["options"].is_object());
        let refs = panel["targets"].as_array().expect("targets").iter();
        let refs: BTreeSet<_> = refs.map(|it| it["refId"].as_str()).collect();
        assert_eq!(
            refs.len(),
            panel["targets"].as_array().map_or(0, Vec::len),
            "{title}"
        );
    }
}

#[tokio::test]
async fn every_panel_of_the_dashboard_has_something_to_show() {
    let (site, prometheus, _dir) = scraped().await;
    let gateway = &site.gateway;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.verified(&site.inbox, "anna", "laptop").await;
    let ask = async || {
        let answer = gateway.get("/x", &token, "laptop").send().await;
        assert_eq!(answer.expect("answer").status(), 200);
    };
    // A rate is that of two scrapes.
    let permitted = "sum(vestibule_requests_total{outcome=\"permitted\"})";
    for count in 1..=2 {
        ask().await;
        prometheus.comes_to(permitted, f64::from(count)).await;
    }
    let expressions = dashboard();
    assert!(expressions.len() > 40, "{}", expressions.len());
    for (panel, expr) in &expressions {
        names_what_is_there(expr, &BTreeSet::new());
        let series = prometheus.series(expr).await;
        // Nobody asks an issuer here, and nothing has started within the minute's scrapes.
        let may_be_empty = ["Issuers of tokens", "annotation"].contains(&panel.as_str());
        assert!(
            may_be_empty || !series.is_empty(),
            "{panel} shows nothing: {expr}"
        );
    }
    for variable in ["vestibule_build_info", "vestibule_requests_total"] {
        assert!(!prometheus.series(variable).await.is_empty());
    }
}
