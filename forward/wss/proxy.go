package wss

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// connectProxy connects to a server through an HTTP proxy, with CONNECT. Errors do not contain
// the proxy's password.
func (d *dialer) connectProxy(ctx context.Context, proxy *url.URL, server string) (*handshakeConn, error) {
	if proxy.Scheme != "http" {
		return nil, fmt.Errorf("scheme %s is not supported: use an http proxy", proxy.Scheme)
	}
	address := proxy.Host
	if proxy.Port() == "" {
		address += ":80"
	}
	conn, err := d.dialTCP(ctx, address)
	if err != nil {
		return nil, err
	}
	release := context.AfterFunc(ctx, func() { conn.Close() })
	err = requestTunnel(conn, proxy.User, server)
	if !release() || err != nil {
		conn.Close()
		return nil, errors.Join(ctx.Err(), err)
	}
	return conn, nil
}

// requestTunnel requests a tunnel to the server from the proxy at the other end of conn.
func requestTunnel(conn *handshakeConn, user *url.Userinfo, server string) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: server}, Host: server, Header: http.Header{}}
	if user != nil {
		password, _ := user.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	// The server sends nothing before the client does, so the reader holds nothing of it.
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	switch {
	case err != nil:
		return responseFailure(err)
	case response.StatusCode == http.StatusProxyAuthRequired:
		return errors.New("it answered 407: check the user and the password in the environment (HTTPS_PROXY)")
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("it answered %d %s to CONNECT: does it allow connections to this server?", response.StatusCode, http.StatusText(response.StatusCode))
	}
	return nil
}
