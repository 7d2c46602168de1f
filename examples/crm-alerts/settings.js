// What your CRM's own server writes into the page of whoever has signed in.
export const settings = {
  // Where Trunkline's API is; its setting CORS_ORIGINS must name the origin of this page.
  trunkline: "https://calls.example.com",
  // A token (JWT) for this user, made by your CRM: docs/api.md, "Tokens".
  token: "",
  // The CRM's id of this user, as in the token and in owner_id of contacts.
  user: "7",
  // The public half of PUSHER_URL: its key, and where it is ({ cluster }, or { cluster: "", wsHost, wsPort, forceTLS }).
  key: "",
  pusher: { cluster: "mt1" },
};
