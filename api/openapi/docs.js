// Starts Swagger UI: a file of its own, because the page's policy forbids scripts inside it.
"use strict";

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true, // #/jobs/read_job opens that call
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false, // a token does not outlive the page
  validatorUrl: null, // would ask a host on the internet
});
