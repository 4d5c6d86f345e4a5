// Starts `lamps lsp` for policies; everything else is the server's.
const { workspace } = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

exports.activate = async function activate() {
  const command = workspace.getConfiguration("lamps").get("command", "lamps");
  const server = { command, args: ["lsp"], transport: TransportKind.stdio };
  client = new LanguageClient("lamps", "lamps", server, {
    documentSelector: [{ language: "lamps" }],
  });
  await client.start();
};

exports.deactivate = function deactivate() {
  return client?.stop();
};
