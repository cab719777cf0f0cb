"""The commands of an operator, by what they are about: `flask --app api --help`."""
