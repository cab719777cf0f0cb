// Starts Swagger UI. A separate file, because the page's content security policy forbids inline scripts.
"use strict";

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true, // #/jobs/show_job opens that operation
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false, // the token is discarded with the page
  validatorUrl: null, // the default sends the document to a host on the internet
});
