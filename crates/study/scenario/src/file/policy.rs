//! `[policy]`, and the policy that the command line chooses in its place.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::{
    contents::{LoadOptions, Parameter, Policy},
    diagnostic::Diagnostic,
    reader::{self, Located, Table},
    schema,
};

/// Reads `[policy]`. Where it is known which policies there are, names and parameters are checked, those of the command line too.
pub fn read(root: &Table<'_, '_>, options: &LoadOptions) -> Policy {
    if let Some(chosen) = &options.policy
        && !is_known(chosen, options)
    {
        root.reader.add(
            unknown(
                Diagnostic::of_file(
                    root.reader.source.file(),
                    format!("--policy {chosen}: there is no policy {chosen:?}"),
                ),
                chosen,
                options,
            )
            .key("--policy")
            .value(chosen.clone()),
        );
    }
    let Some(table) = root.table("policy", &schema::POLICY) else { return Policy::default() };
    let name = table.text("name");
    let known = name.as_ref().is_none_or(|name| is_known(&name.value, options));
    if let Some(name) = name.as_ref().filter(|_| !known) {
        let complaint = table.bad_value("name", &name.span, format!("there is no policy {:?}", name.value));
        table.reader.add(unknown(complaint, &name.value, options));
    }
    let policy = Policy { parameters: read_parameters(&table), name };
    // An unknown policy may have any parameters; a name of the wrong type is no name.
    if known && !options.policies.is_empty() && (policy.name.is_some() || !table.has("name")) {
        check_parameters(&table, &policy);
    }
    policy
}

fn is_known(name: &str, options: &LoadOptions) -> bool {
    options.policies.is_empty() || options.policies.iter().any(|known| known == name)
}

fn unknown(complaint: Diagnostic, name: &str, options: &LoadOptions) -> Diagnostic {
    let known = options.policies.iter().map(String::as_str);
    complaint.allowed(known.clone().collect::<Vec<_>>().join(", ")).nearest(name, known)
}

fn read_parameters(table: &Table<'_, '_>) -> BTreeMap<String, Located<Parameter>> {
    let mut parameters = BTreeMap::new();
    let entries = table.raw_table("parameters").map(|(entries, _)| entries);
    for (key, value) in entries.into_iter().flatten() {
        let parameter = match value.get_ref() {
            DeValue::String(text) => Some(Parameter::Text(text.to_string())),
            DeValue::Boolean(flag) => Some(Parameter::Flag(*flag)),
            other => reader::number(other).map(Parameter::Number),
        };
        match parameter {
            Some(parameter) => {
                parameters
                    .insert(key.get_ref().to_string(), Located { value: parameter, span: value.span() });
            }
            None => table.reader.add(
                table
                    .bad_value(key.get_ref(), &value.span(), "a policy's parameter cannot be this")
                    .label(format!("this is {}", reader::type_name(value.get_ref())))
                    .allowed("a number, a text, true or false"),
            ),
        }
    }
    parameters
}

/// Complains about each parameter that the file's policy does not take.
fn check_parameters(table: &Table<'_, '_>, policy: &Policy) {
    for wrong in policy_catalogue::check(policy.name(), &policy.table()) {
        let Some(parameter) = policy.parameters.get(&wrong.name) else { continue };
        let complaint = table.bad_value(&wrong.name, &parameter.span, wrong.why);
        table.reader.add(match &wrong.known[..] {
            [] => complaint,
            known => {
                let known = known.iter().map(String::as_str);
                complaint.allowed(known.clone().collect::<Vec<_>>().join(", ")).nearest(&wrong.name, known)
            }
        });
    }
}
